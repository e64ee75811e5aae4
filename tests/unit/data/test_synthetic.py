"""The embedded data set."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pycocotools.mask as rle
import pytest
from hotcoco import COCO
from PIL import Image

from runners.annotations.audit import audit
from runners.synthetic import write_dataset
from sweeps.core.spec import parse_spec


def tree_digest(directory: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(directory.rglob("*")):
        if file.is_file():
            digest.update(str(file.relative_to(directory)).encode() + file.read_bytes())
    return digest.hexdigest()


def decoded(segmentation: object, size: int) -> np.ndarray:
    codes = rle.frPyObjects(segmentation, size, size)
    return rle.decode(rle.merge(codes) if isinstance(codes, list) else codes).astype(bool)


def test_same_seed_same_bytes(tmp_path: Path) -> None:
    """The same arguments write the same bytes; another seed writes others."""
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        write_dataset(tmp_path / name, train=3, val=2, seed=seed)
    assert tree_digest(tmp_path / "a") == tree_digest(tmp_path / "b")
    assert tree_digest(tmp_path / "a") != tree_digest(tmp_path / "c")


def test_audit_finds_nothing(parts: Path) -> None:
    """Its own spec parses and the audit has no complaint; objectives by size can be measured."""
    text = (parts / "spec.yaml").read_text() + "objectives: [{metric: segm/APs}, {metric: segm/APm}]\n"
    report = audit(parse_spec(text, parts))
    assert report.issues == ()
    assert report.categories == ("gear", "bracket", "washer")
    assert report.train.images == 24
    assert report.train.crowds >= 1
    assert report.train.sizes["small"] >= report.train.instances / 2
    assert report.train.sizes["medium"] >= 10


def test_boxes_and_areas_are_those_of_the_masks(parts: Path) -> None:
    """RLE boxes and areas are exact; a polygon's mask agrees with them within a pixel's width of its edge."""
    document = json.loads((parts / "train.json").read_text())
    kinds = set()
    for item in document["annotations"]:
        mask = decoded(item["segmentation"], 128)
        x, y, width, height = item["bbox"]
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        tight = [columns[0], rows[0], columns[-1] + 1 - columns[0], rows[-1] + 1 - rows[0]]
        if isinstance(item["segmentation"], dict):
            kinds.add("crowd" if item["iscrowd"] else "rle")
            assert [x, y, width, height] == tight
            assert item["area"] == mask.sum() >= 24
        else:
            kinds.add("polygon")
            assert np.abs(np.array([x, y, width, height]) - tight).max() < 2
            assert item["area"] == pytest.approx(mask.sum(), rel=0.2)
    assert kinds == {"polygon", "rle", "crowd"}


def test_masks_show_only_what_is_on_top(parts: Path) -> None:
    """No pixel belongs to two parts, but for the rounding of polygon edges."""
    document = json.loads((parts / "train.json").read_text())
    for image in document["images"]:
        of_image = [item for item in document["annotations"] if item["image_id"] == image["id"]]
        masks = [decoded(item["segmentation"], 128) for item in of_image]
        rle_masks = [
            mask for item, mask in zip(of_image, masks, strict=True) if isinstance(item["segmentation"], dict)
        ]
        assert not rle_masks or np.sum(rle_masks, axis=0).max() == 1
        assert (np.sum(masks, axis=0) > 1).mean() < 0.01


def test_masks_lie_on_the_parts(parts: Path) -> None:
    """The masks fit the image better than when shifted by two pixels either way."""
    document = json.loads((parts / "val.json").read_text())
    contrast = dict.fromkeys((-2, 0, 2), 0.0)
    for image in document["images"]:
        pixels = np.asarray(Image.open(parts / "images" / image["file_name"]).convert("L"), dtype=float)
        items = [item for item in document["annotations"] if item["image_id"] == image["id"]]
        mask = np.any([decoded(item["segmentation"], 128) for item in items], axis=0)
        for axis in (0, 1):
            for shift in contrast:
                moved = np.roll(mask, shift, axis)
                contrast[shift] += pixels[moved].mean() - pixels[~moved].mean()
    assert contrast[0] > 1.05 * max(contrast[-2], contrast[2])


def test_hotcoco_reads_the_same_masks(parts: Path) -> None:
    """The evaluator decodes every annotation to the mask that pycocotools decodes."""
    coco = COCO(str(parts / "train.json"))
    for item in json.loads((parts / "train.json").read_text())["annotations"]:
        assert (np.asarray(coco.annToMask(item), dtype=bool) == decoded(item["segmentation"], 128)).all()


def test_refuses_impossible_arguments(tmp_path: Path) -> None:
    """Sizes out of range are named, and nothing is written."""
    with pytest.raises(ValueError, match=r"but got \(train=0, val=60, size=128, seed=0\)"):
        write_dataset(tmp_path / "none", train=0)
    assert not (tmp_path / "none").exists()
