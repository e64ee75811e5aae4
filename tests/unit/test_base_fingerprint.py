"""Bases are equal by their contents, wherever their files lie."""

from pathlib import Path

import pytest

from runners.base_fingerprint import base_fingerprint
from sweeps.core.spec import BaseSpec

CHILD = "_BASE_: parent.yaml\nSOLVER:\n  BASE_LR: 0.02\n"
PARENT = "MODEL:\n  WEIGHTS: model.pth\n  ROI_HEADS:\n    NUM_CLASSES: 3\n"


def files(directory: Path, *, child: str = CHILD, parent: str = PARENT, weights: bytes = b"w") -> str:
    """The fingerprint of a config with a parent and weights of its own, in a directory."""
    directory.mkdir()
    (directory / "child.yaml").write_text(child)
    (directory / "parent.yaml").write_text(parent)
    (directory / "model.pth").write_bytes(weights)
    return base_fingerprint(BaseSpec(file=str(directory / "child.yaml"), weights="file"))


def test_equal_files_elsewhere_are_equal(tmp_path):
    """Paths, comments and spacing have no say."""
    first = files(tmp_path / "a")
    assert files(tmp_path / "b", child=f"# mine\n{CHILD}") == first


@pytest.mark.parametrize(
    "change",
    [
        {"child": CHILD.replace("0.02", "0.03")},
        {"parent": PARENT.replace("3", "4")},
        {"weights": b"v"},
    ],
)
def test_whatever_changes_the_model_changes_the_fingerprint(tmp_path, change):
    """The config, what its _BASE_ names, and the weights that it names."""
    assert files(tmp_path / "a") != files(tmp_path / "b", **change)


def test_weights_count_for_every_kind_of_base(tmp_path):
    """A checkpoint counts by its bytes; words, names and URLs by themselves."""
    for name, content in (("one", b"1"), ("two", b"2"), ("copy", b"1")):
        (tmp_path / name).write_bytes(content)

    def of(weights: str) -> str:
        return base_fingerprint(BaseSpec(preset="mask_rcnn_tiny", weights=weights))

    one, two, copy = (of(str(tmp_path / name)) for name in ("one", "two", "copy"))
    assert one == copy
    assert len({one, two, of("none"), of("https://host/a.pth"), of("https://host/b.pth")}) == 5
    zoo = "COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x.yaml"
    assert base_fingerprint(BaseSpec(zoo=zoo, weights="none")) != of("none")
