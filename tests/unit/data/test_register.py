"""Registration, on a data set made by other tools than ours."""

import json
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import pycocotools.mask as rle
import pytest
import torch
from detectron2.data import MetadataCatalog
from detectron2.modeling import build_model
from detectron2.structures import BitMasks, PolygonMasks
from detectron2.utils.events import EventStorage
from PIL import Image, ImageDraw

from runners.annotations.audit import audit
from runners.detectron.config import build_config, masksweep_cfg
from runners.detectron.data import dataset_dicts, register
from runners.detectron.mapper import TestMapper, TrainMapper
from runners.detectron.stream import train_loader
from sweeps.core.spec import SweepSpec, parse_spec

SPEC = """
version: 1
name: foreign
dataset:
  train: {annotations: annotations/instances_train.json, images: pictures}
  val: {annotations: annotations/instances_val.json, images: pictures}
base: {preset: mask_rcnn_tiny}
"""
CATEGORIES = [{"id": 90, "name": "screw"}, {"id": 7, "name": "nut"}]  # neither contiguous nor sorted
SIZES = {"JPEG": (90, 60), "PNG": (50, 80), "GREY": (64, 64)}


def write_foreign(directory: Path) -> SweepSpec:
    """Different sizes and formats, subfolders, ids with gaps, polygons, both kinds of RLE and crowd."""
    for split in ("train", "val"):
        images, annotations = [], []
        for number, (kind, (width, height)) in enumerate(SIZES.items()):
            suffix = "jpg" if kind == "JPEG" else "png"
            name = f"{split}/line {number}/{kind.lower()}.{suffix}"
            (directory / "pictures" / name).parent.mkdir(parents=True, exist_ok=True)
            image = Image.new("L" if kind == "GREY" else "RGB", (width, height))
            ImageDraw.Draw(image).rectangle((10, 20, 29, 39), fill="white")
            image.save(directory / "pictures" / name)
            image_id = 1000 - 17 * number
            images.append({"id": image_id, "file_name": name, "width": width, "height": height})
            mask = np.zeros((height, width), dtype=np.uint8, order="F")
            mask[20:40, 10:30] = 1
            packed = rle.encode(mask)
            runs = np.diff(np.flatnonzero(np.diff(mask.reshape(-1, order="F"), prepend=2, append=2)))
            segmentations: dict[str, Any] = {
                "JPEG": [[10, 20, 30, 20, 30, 40, 10, 40]],
                "PNG": {"size": packed["size"], "counts": packed["counts"].decode()},
                "GREY": {"size": [height, width], "counts": runs.tolist()},
            }
            common = {"image_id": image_id, "bbox": [10, 20, 20, 20], "area": 400, "extra": "kept out"}
            for crowd, category_id in ((0, 90), (0, 7), (1, 7)):
                annotations.append(
                    {
                        "id": 5000 + 3 * len(annotations),
                        "category_id": category_id,
                        "iscrowd": crowd,
                        "segmentation": segmentations["GREY" if crowd else kind],
                        **common,
                    }
                )
        document = {"images": images, "annotations": annotations, "categories": CATEGORIES}
        path = directory / "annotations" / f"instances_{split}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(document))
    return parse_spec(SPEC, directory)


@pytest.fixture
def foreign(tmp_path: Path) -> SweepSpec:
    """The foreign set's spec."""
    return write_foreign(tmp_path)


def test_classes_are_contiguous_in_the_order_of_their_ids(foreign: SweepSpec) -> None:
    """Category ids with gaps become 0, 1, ... and can be mapped back."""
    data = register(foreign)
    assert (data.categories, data.category_ids, data.num_classes) == (("nut", "screw"), (7, 90), 2)
    meta = MetadataCatalog.get(data.val)
    assert meta.thing_classes == ["nut", "screw"]
    assert meta.thing_dataset_id_to_contiguous_id == {7: 0, 90: 1}
    assert meta.json_file == foreign.dataset.val.annotations


def test_records_keep_files_sizes_and_crowds(foreign: SweepSpec) -> None:
    """Records name the files in their subfolders and keep crowd regions for the evaluation."""
    records = dataset_dicts(register(foreign).train)
    assert [record["image_id"] for record in records] == [966, 983, 1000]
    assert all(os.path.isfile(record["file_name"]) for record in records)
    assert [(record["width"], record["height"]) for record in records] == [(64, 64), (50, 80), (90, 60)]
    for record in records:
        assert [item["iscrowd"] for item in record["annotations"]] == [0, 0, 1]
        assert [item["category_id"] for item in record["annotations"]] == [1, 0, 0]


def test_polygons_and_both_kinds_of_rle_give_the_same_mask(foreign: SweepSpec) -> None:
    """One set may mix them: each image gets the masks that its annotations allow, all of the same pixels."""
    cfg = masksweep_cfg()
    cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.RANDOM_FLIP = (0,), "none"
    mapper = TrainMapper(cfg, seed=0)
    kinds = []
    for record in dataset_dicts(register(foreign).train):
        sample = mapper(record, 0)
        masks, (height, width) = sample["instances"].gt_masks, sample["instances"].image_size
        kinds.append(type(masks))
        if isinstance(masks, PolygonMasks):
            masks = BitMasks.from_polygon_masks(masks, height, width)
        bright = (sample["image"] > 128).all(dim=0)
        assert len(masks) == 2
        assert all(torch.equal(mask, bright) for mask in masks)
    assert kinds == [BitMasks, BitMasks, PolygonMasks]


def test_trains_and_tests(foreign: SweepSpec) -> None:
    """A Mask R-CNN takes the batches, mixed as they are, and predicts on the validation images."""
    data = register(foreign)
    cfg = build_config(foreign, {}, seed=0, output_dir="", num_classes=data.num_classes, device="cpu")
    model = build_model(cfg)
    loader = train_loader(
        cfg, dataset_dicts(data.train), TrainMapper(cfg, seed=0), seed=0, start_iteration=0, batch_size=3
    )
    with EventStorage():
        losses = model.train()(next(loader))
    assert torch.isfinite(sum(losses.values()))
    mapper = TestMapper(cfg)
    with torch.no_grad():
        outputs = model.eval()([mapper(record) for record in dataset_dicts(data.val)])
    assert [output["instances"].image_size for output in outputs] == [(64, 64), (80, 50), (60, 90)]


def test_the_audit_agrees(foreign: SweepSpec) -> None:
    """What works is not complained about."""
    report = audit(foreign)
    assert (report.issues, report.notes) == ((), ())
    assert report.categories == ("nut", "screw")
    assert (report.train.images, report.train.instances, report.train.crowds) == (3, 6, 3)


def test_registers_once_and_follows_changes(foreign: SweepSpec) -> None:
    """The same files give the same records, the same objects; an edited file gets a name of its own."""
    first = register(foreign)
    assert register(foreign) == first
    assert dataset_dicts(first.train) is dataset_dicts(register(foreign).train)
    path = Path(foreign.dataset.train.annotations)
    document = json.loads(path.read_text())
    document["images"].pop()
    document["annotations"] = document["annotations"][:6]
    path.write_text(json.dumps(document))
    again = register(foreign)
    assert (again.train != first.train, again.val == first.val) == (True, True)
    assert len(dataset_dicts(again.train)) == 2


def test_is_quiet(
    foreign: SweepSpec, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nothing is printed or logged, and Detectron2's logger is left at its level."""
    level = logging.getLogger("detectron2").level
    with caplog.at_level(logging.INFO):
        register(foreign)
    assert [record.message for record in caplog.records] == []
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("detectron2").level == level


def test_halves_of_different_categories_are_refused(foreign: SweepSpec) -> None:
    """Classes that mean different things in the two files stop a worker, should nobody have audited."""
    path = Path(foreign.dataset.val.annotations)
    path.write_text(path.read_text().replace("screw", "bolt"))
    with pytest.raises(ValueError, match="must have the same categories"):
        register(foreign)
