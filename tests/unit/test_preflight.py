"""What a runner says of a base before anything is created."""

from pathlib import Path

import detectron2.model_zoo
import pytest
from detectron2 import _C

from runners.plugin import DetectronRunner
from search_spaces.zoo import ZOO_CONFIGS
from sweeps.core.spec import parse_spec

R_50 = detectron2.model_zoo.get_config_file("COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_1x.yaml")
SPEC = """
version: 1
name: parts
dataset:
  train: {{annotations: {data}/train.json, images: {data}/images}}
  val: {{annotations: {data}/val.json, images: {data}/images}}
base: {base}
"""


@pytest.fixture
def preflight(parts: Path, tmp_path: Path):
    """Checks the parts with a base; relative paths start in the test's directory."""

    def check(base: str, extra: str = ""):
        return DetectronRunner().preflight(parse_spec(SPEC.format(data=parts, base=base) + extra, tmp_path))

    return check


def texts(checked, directory: Path) -> list[str]:
    return [str(issue).replace(str(directory), "DIR") for issue in checked.issues]


@pytest.mark.parametrize(
    "base", ["preset: mask_rcnn_tiny", "zoo: COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x.yaml"]
)
def test_weights_that_are_not_there_are_an_issue(preflight, tmp_path: Path, base: str):
    """A path that leads nowhere, or to no file, is told before a sweep is created, for presets too."""
    (tmp_path / "folder").mkdir()
    assert texts(preflight(f"{{{base}, weights: gone.pth}}"), tmp_path) == [
        "base.weights: no such file: DIR/gone.pth"
    ]
    assert texts(preflight(f"{{{base}, weights: folder}}"), tmp_path) == [
        "base.weights: cannot read DIR/folder: Is a directory"
    ]
    (tmp_path / "model.pth").touch()
    assert preflight(f"{{{base}, weights: model.pth}}").issues == ()
    assert preflight(f"{{{base}, weights: 'https://example.org/model.pth'}}").issues == ()


def test_a_config_whose_weights_are_not_there_is_an_issue(preflight, tmp_path: Path):
    """What a file names as MODEL.WEIGHTS is looked for beside it, unless the spec names others."""
    (tmp_path / "model.yaml").write_text(f"_BASE_: {R_50}\nMODEL: {{WEIGHTS: runs/model.pth}}\n")
    assert texts(preflight("{file: model.yaml}"), tmp_path) == [
        "base.weights: no such file: DIR/runs/model.pth (hint: it is the MODEL.WEIGHTS of DIR/model.yaml)"
    ]
    assert preflight("{file: model.yaml, weights: none}").issues == ()


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ("ANCHOR_GENERATOR: {SIZES: [[32], [64]]}", "AssertionError: "),
        ("ROI_HEADS: {IN_FEATURES: [p2, p9]}", "KeyError: 'p9'"),
        ("ROI_HEADS: {NAME: RROIHeads}", "AssertionError"),
    ],
)
def test_a_base_that_makes_no_model_is_an_issue(preflight, tmp_path: Path, keys: str, problem: str):
    """Anchors, levels and heads that do not go together are told in one line, and fail no trial."""
    (tmp_path / "model.yaml").write_text(f"_BASE_: {R_50}\nMODEL:\n  WEIGHTS: ''\n  {keys}\n")
    (issue,) = texts(preflight("{file: model.yaml}"), tmp_path)
    assert issue.startswith(f"base.file: the config makes no model: {problem}")
    assert "\n" not in issue


def test_a_base_of_another_architecture_is_an_issue(preflight, tmp_path: Path):
    """What is no Mask R-CNN is refused by its name, whatever its MASK_ON says."""
    panoptic = detectron2.model_zoo.get_config_file("COCO-PanopticSegmentation/panoptic_fpn_R_50_1x.yaml")
    (tmp_path / "model.yaml").write_text(f"_BASE_: {panoptic}\n")
    assert texts(preflight("{file: model.yaml}"), tmp_path) == [
        "base.file: MODEL.META_ARCHITECTURE: got PanopticFPN, but needs GeneralizedRCNN"
        " (hint: take a config of Mask R-CNN)"
    ]


DEFORMABLE = "{zoo: Misc/mask_rcnn_R_50_FPN_1x_dconv_c3-c5.yaml, weights: none}"


def test_deformable_convolutions_without_a_gpu_are_an_issue(preflight, tmp_path: Path):
    """Detectron2 trains them on GPUs only, so that every trial on a CPU would fail."""
    assert texts(preflight(DEFORMABLE, "resources: {gpus_per_trial: 0}"), tmp_path) == [
        "base.zoo: deformable convolutions train on GPUs only, but resources.gpus_per_trial is 0"
        " (hint: give trials a GPU, or take a config without them)"
    ]


@pytest.mark.skipif(_C.has_cuda(), reason="this Detectron2 has compiled code for GPUs")
def test_deformable_convolutions_without_compiled_code_are_an_issue(preflight, tmp_path: Path):
    """The pure-Python build of Detectron2 has none of the code that they need."""
    assert texts(preflight(DEFORMABLE), tmp_path) == [
        "base.zoo: deformable convolutions train on GPUs only, and this Detectron2 has no code for that"
        " (hint: install an official build of Detectron2, or take a config without them)"
    ]


@pytest.mark.slow  # builds forty models
def test_every_other_config_of_the_zoo_is_fine(preflight):
    """Whatever `base.zoo` takes makes a model for the data's classes."""
    names = [name for name in ZOO_CONFIGS if "dconv" not in name]
    found = {name: preflight(f"{{zoo: {name}, weights: none}}").issues for name in names}
    assert found == dict.fromkeys(names, ())


def test_what_of_a_base_is_not_used_is_a_note(preflight, tmp_path: Path):
    """Settings that change what a model learns or scores in Detectron2, and nothing here, are told."""
    (tmp_path / "model.yaml").write_text(
        f"_BASE_: {R_50}\nDATALOADER: {{SAMPLER_TRAIN: RandomSubsetTrainingSampler}}\n"
        "TEST: {PRECISE_BN: {ENABLED: true}, AUG: {ENABLED: true}}\n"
    )
    checked = preflight("{file: model.yaml}")
    assert checked.issues == ()
    assert checked.notes[-3:] == (
        "base.file: DATALOADER.SAMPLER_TRAIN: RandomSubsetTrainingSampler is not used,"
        " every image is drawn equally often",
        "base.file: TEST.PRECISE_BN is not used, models are evaluated with the statistics of their training",
        "base.file: TEST.AUG is not used, models are evaluated on each image once",
    )


def test_a_config_that_cannot_be_read_is_an_issue(preflight, tmp_path: Path):
    """A file that is not there, also one that another inherits from, is named."""
    assert texts(preflight("{file: gone.yaml}"), tmp_path) == ["base.file: no such file: DIR/gone.yaml"]
    (tmp_path / "model.yaml").write_text("_BASE_: parent.yaml\n")
    assert texts(preflight("{file: model.yaml}"), tmp_path) == ["base.file: no such file: DIR/parent.yaml"]
    (tmp_path / "folder.yaml").mkdir()
    assert texts(preflight("{file: folder.yaml}"), tmp_path) == [
        "base.file: cannot read DIR/folder.yaml: Is a directory"
    ]


def test_a_base_is_known_by_its_contents_once_it_is_sound(preflight, tmp_path: Path):
    """Two sweeps can be compared by it; a base with problems has none."""
    for name, content in (("one.pth", b"1"), ("same.pth", b"1"), ("other.pth", b"2")):
        (tmp_path / name).write_bytes(content)
    found = [
        preflight(f"{{preset: mask_rcnn_tiny, weights: {name}}}").base
        for name in ("one.pth", "same.pth", "other.pth")
    ]
    assert found[0] == found[1] != found[2]
    assert preflight("{preset: mask_rcnn_tiny, weights: gone.pth}").base == ""
