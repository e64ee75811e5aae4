from pathlib import Path

import pytest
import yaml
from detectron2.config import get_cfg

from runners.detectron.config import (
    EXTRA_KEYS,
    base_config,
    base_issues,
    build_config,
    choose_device,
    get_key,
    masksweep_cfg,
    portable_config,
    set_key,
    zoo_names,
)
from sweeps.core.errors import SpecInvalid
from sweeps.core.spec import BaseSpec
from sweeps.testing import make_spec

R_50 = "COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x.yaml"


def build(params=None, *, device="cpu", **sections):
    return build_config(
        make_spec(**sections), params or {}, seed=3, output_dir="out", num_classes=5, device=device
    )


def test_every_extra_key_is_declared_with_a_neutral_value():
    """Without parameters our keys leave Detectron2 as it is."""
    assert {key: get_key(masksweep_cfg(), key) for key in EXTRA_KEYS} == dict(EXTRA_KEYS)


def test_a_trial_config_is_frozen_and_holds_data_fidelity_and_seed():
    """Classes, length of training, thresholds and seed come from the spec, whatever the base says."""
    cfg = build(
        {"solver.base_lr": 0.003, "mask_head.upsample_stride": 4},
        fidelity={"iterations": 40, "rungs": [20, 40]},
        inference={"score_threshold": 0.1, "nms_threshold": 0.6},
    )
    assert cfg.is_frozen()
    assert cfg.MODEL.ROI_HEADS.NUM_CLASSES == 5
    assert (cfg.SOLVER.MAX_ITER, cfg.SOLVER.BASE_LR, cfg.SEED) == (40, 0.003, 3)
    assert (cfg.MODEL.ROI_MASK_HEAD.NAME, cfg.MODEL.ROI_MASK_HEAD.UPSAMPLE_STRIDE) == ("StridedMaskHead", 4)
    assert (cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST, cfg.MODEL.ROI_HEADS.NMS_THRESH_TEST) == (0.1, 0.6)


def test_inference_settings_of_the_base_are_kept():
    """A base made for low scores, as LVIS's, is judged with its own thresholds unless the spec has others."""
    lvis = {"zoo": "LVISv0.5-InstanceSegmentation/mask_rcnn_R_50_FPN_1x.yaml", "weights": "none"}
    heads = build(base=lvis).MODEL.ROI_HEADS
    assert (heads.SCORE_THRESH_TEST, heads.NMS_THRESH_TEST) == (0.0001, 0.5)
    heads = build(base=lvis, inference={"score_threshold": 0.05}).MODEL.ROI_HEADS
    assert (heads.SCORE_THRESH_TEST, heads.NMS_THRESH_TEST) == (0.05, 0.5)


def test_mixed_precision_is_for_gpus():
    """The same spec trains in mixed precision on a GPU and in fp32 on a CPU."""
    assert [build(device=device).SOLVER.AMP.ENABLED for device in ("cpu", "cuda")] == [False, True]


@pytest.mark.parametrize(
    ("gpus", "cuda", "device"),
    [(0, True, "cpu"), (0, False, "cpu"), (0.5, True, "cuda"), (1, True, "cuda"), (1, False, "cpu")],
)
def test_a_trial_that_holds_no_gpu_trains_on_the_cpu(gpus, cuda, device):
    """A GPU is used by who holds one, and only if torch finds it: Ray's may be counted and not there."""
    assert choose_device(gpus, cuda=cuda) == device


@pytest.mark.parametrize("benchmark", [False, True])
def test_cudnn_measures_its_kernels_only_if_the_base_says_so(tmp_path: Path, benchmark):
    """Padded batches have many sizes even of one input size, and each would be measured anew."""
    file = tmp_path / "model.yaml"
    file.write_text(f"VERSION: 2\nCUDNN_BENCHMARK: {benchmark}\nINPUT: {{MIN_SIZE_TRAIN: [800]}}\n")
    assert build(base={"file": str(file)}, device="cuda").CUDNN_BENCHMARK is benchmark


def test_synchronized_batch_norm_becomes_batch_norm():
    """A zoo config for many GPUs runs on one device."""
    cfg = build(base={"zoo": "Misc/mask_rcnn_R_50_FPN_3x_syncbn.yaml", "weights": "none"})
    assert (cfg.MODEL.RESNETS.NORM, cfg.MODEL.FPN.NORM) == ("BN", "BN")


def test_zoo_weights_are_those_of_the_zoo():
    """`weights: zoo` gives the address of the model that belongs to the config; `none` gives none."""
    url = base_config(BaseSpec(zoo=R_50, weights="zoo")).MODEL.WEIGHTS
    assert url.startswith("https://dl.fbaipublicfiles.com/detectron2/COCO-InstanceSegmentation/")
    assert base_config(BaseSpec(zoo=R_50, weights="none")).MODEL.WEIGHTS == ""


@pytest.mark.parametrize(
    ("named", "used"),
    [
        ("", ""),
        ("detectron2://ImageNetPretrained/MSRA/R-50.pkl", "detectron2://ImageNetPretrained/MSRA/R-50.pkl"),
        ("runs/model.pth", "{directory}/runs/model.pth"),
        ("/data/model.pth", "/data/model.pth"),
    ],
)
def test_a_files_own_weights_are_kept(tmp_path: Path, named, used):
    """`weights: file` starts from what the config names; a relative path starts at the config's directory."""
    file = tmp_path / "model.yaml"
    file.write_text(yaml.safe_dump({"VERSION": 2, "MODEL": {"WEIGHTS": named}}))
    weights = base_config(make_spec(base={"file": str(file)}).base).MODEL.WEIGHTS
    assert weights == used.format(directory=tmp_path)
    assert base_config(BaseSpec(file=str(file), weights="none")).MODEL.WEIGHTS == ""


def test_an_unknown_zoo_name_is_told_with_a_near_one():
    """A typo in `zoo:` comes back with the name that was meant."""
    base = BaseSpec.model_construct(zoo=R_50.replace("50", "5O"), weights="none")
    with pytest.raises(SpecInvalid) as caught:
        base_config(base)
    assert caught.value.issues[0].hint == f"did you mean {R_50}?"


def test_zoo_names_do_not_lead_out_of_the_zoo(tmp_path: Path):
    """Zoo configs may execute code, so no path of a user's passes for one."""
    evil = tmp_path / "evil.yaml"
    evil.write_text("VERSION: 2\n")
    with pytest.raises(SpecInvalid):
        base_config(BaseSpec.model_construct(zoo="../" * 40 + str(evil)[1:], weights="none"))


@pytest.mark.parametrize("inherited", [False, True])
def test_a_users_file_executes_nothing(tmp_path: Path, inherited):
    """A Python tag in a config file, or in the file it inherits from, is refused and not run."""
    marker = tmp_path / "executed"
    evil = tmp_path / "evil.yaml"
    evil.write_text(f"OUTPUT_DIR: !!python/object/apply:pathlib.Path.touch [{{}}, '{marker}']\nVERSION: 2\n")
    file = evil
    if inherited:
        file = tmp_path / "child.yaml"
        file.write_text("_BASE_: evil.yaml\nVERSION: 2\n")
    with pytest.raises(SpecInvalid, match=r"base\.file"):
        base_config(BaseSpec(file=str(file), weights="none"))
    assert not marker.exists()


def test_a_file_with_unknown_keys_names_them(tmp_path: Path):
    """A config of another project is told by its first strange key."""
    file = tmp_path / "other.yaml"
    file.write_text("VERSION: 2\nMODEL: {SOMETHING_ELSE: 1}\n")
    issues = base_issues(BaseSpec(file=str(file), weights="none"))
    assert [issue.path for issue in issues] == ["base.file"]
    assert "MODEL.SOMETHING_ELSE" in issues[0].problem


def test_a_base_without_masks_or_with_unknown_parts_is_told(tmp_path: Path):
    """Every problem of a base comes at once."""
    file = tmp_path / "boxes.yaml"
    file.write_text(
        yaml.safe_dump(
            {
                "VERSION": 2,
                "MODEL": {
                    "META_ARCHITECTURE": "PanopticFPN",
                    "BACKBONE": {"NAME": "build_resnet_backbon"},
                },
            }
        )
    )
    issues = base_issues(BaseSpec(file=str(file), weights="none"))
    assert issues[0].problem == "MODEL.META_ARCHITECTURE: got PanopticFPN, but needs GeneralizedRCNN"
    assert [(issue.problem.split(":")[0], issue.hint) for issue in issues[1:]] == [
        ("MODEL.BACKBONE.NAME", "did you mean build_resnet_backbone?"),
        ("MODEL.MASK_ON is false", "set it to true"),
    ]


@pytest.mark.parametrize("name", zoo_names())
def test_every_zoo_config_is_read(name):
    """Each YAML config of the zoo becomes a config with our keys."""
    cfg = base_config(BaseSpec.model_construct(preset=None, zoo=name, file=None, weights="none"))
    assert cfg.SOLVER.OPTIMIZER == "SGD"


def test_a_portable_config_is_read_by_stock_detectron2(tmp_path: Path):
    """The config beside a checkpoint has no key that Detectron2 lacks; stride 2 becomes the stock head."""
    file = tmp_path / "config.yaml"
    file.write_text(portable_config(build({"mask_head.upsample_stride": 2, "augment.brightness": 0.2})))
    cfg = get_cfg()
    cfg.merge_from_file(str(file), allow_unsafe=False)
    assert cfg.MODEL.ROI_MASK_HEAD.NAME == "MaskRCNNConvUpsampleHead"


def test_a_portable_config_keeps_what_the_model_needs(tmp_path: Path):
    """A stride that stock Detectron2 cannot build stays in the config."""
    file = tmp_path / "config.yaml"
    file.write_text(portable_config(build({"mask_head.upsample_stride": 4})))
    cfg = masksweep_cfg()
    cfg.merge_from_file(str(file), allow_unsafe=False)
    assert (cfg.MODEL.ROI_MASK_HEAD.NAME, cfg.MODEL.ROI_MASK_HEAD.UPSAMPLE_STRIDE) == ("StridedMaskHead", 4)


def test_values_are_brought_to_their_keys_type():
    """A whole number serves as a float and a list as a tuple; text does not serve as a number."""
    cfg = masksweep_cfg()
    set_key(cfg, "SOLVER.BASE_LR", 1)
    set_key(cfg, "INPUT.MIN_SIZE_TRAIN", [96, 128])
    assert (repr(cfg.SOLVER.BASE_LR), cfg.INPUT.MIN_SIZE_TRAIN) == ("1.0", (96, 128))
    with pytest.raises(ValueError, match=r"SOLVER\.MAX_ITER: 'many' is no int"):
        set_key(cfg, "SOLVER.MAX_ITER", "many")
