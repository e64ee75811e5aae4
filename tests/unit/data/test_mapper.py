"""From records to samples: masks follow the image through every augmentation."""

from pathlib import Path
from typing import Any

import numpy as np
import pycocotools.mask as rle
import pytest
import torch
from detectron2.data import DatasetMapper
from detectron2.data.detection_utils import SizeMismatchError
from detectron2.structures import BitMasks, BoxMode, PolygonMasks, polygons_to_bitmask
from PIL import Image, ImageDraw

from runners.detectron.config import build_config, masksweep_cfg
from runners.detectron.data import ImageCache, dataset_dicts, register
from runners.detectron.mapper import TestMapper, TrainMapper
from sweeps.core.spec import parse_spec
from sweeps.testing import make_spec

SHAPE = [20.0, 15.0, 80.0, 15.0, 80.0, 35.0, 45.0, 35.0, 45.0, 90.0, 20.0, 90.0]  # a bracket, off the middle
AUGMENTATIONS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "smaller": {"INPUT.MIN_SIZE_TRAIN": (61,)},
    "larger": {"INPUT.MIN_SIZE_TRAIN": (150, 200)},
    "horizontal flip": {"INPUT.RANDOM_FLIP": "horizontal"},
    "vertical flip": {"INPUT.RANDOM_FLIP": "vertical"},
    "relative crop": {
        "INPUT.CROP.ENABLED": True,
        "INPUT.CROP.TYPE": "relative",
        "INPUT.CROP.SIZE": [0.6, 0.7],
    },
    "range crop": {"INPUT.CROP.ENABLED": True, "INPUT.CROP.TYPE": "relative_range"},
    "absolute crop": {"INPUT.CROP.ENABLED": True, "INPUT.CROP.TYPE": "absolute", "INPUT.CROP.SIZE": [64, 80]},
    "scale jitter": {"INPUT.SCALE_JITTER": 0.4},
    "brightness": {"INPUT.BRIGHTNESS": 0.3},
    "contrast": {"INPUT.CONTRAST": 0.3},
    "saturation": {"INPUT.SATURATION": 0.5},
    "everything": {
        "INPUT.CROP.ENABLED": True,
        "INPUT.CROP.TYPE": "relative_range",
        "INPUT.CROP.SIZE": [0.5, 0.5],
        "INPUT.RANDOM_FLIP": "horizontal",
        "INPUT.SCALE_JITTER": 0.3,
        "INPUT.BRIGHTNESS": 0.2,
        "INPUT.CONTRAST": 0.2,
        "INPUT.SATURATION": 0.2,
    },
}


def config(**keys: Any) -> Any:
    cfg = masksweep_cfg()
    cfg.MODEL.MASK_ON = True
    cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.MAX_SIZE_TRAIN = (100,), 1000
    cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST = 100, 1000
    cfg.INPUT.RANDOM_FLIP = "none"
    for key, value in keys.items():
        cfg.merge_from_list([key, value])
    return cfg


@pytest.fixture(scope="module")
def bracket(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Two records of one bright bracket on black, 140 x 100 px: as a polygon, and as an RLE."""
    path = tmp_path_factory.mktemp("bracket") / "a.png"
    image = Image.new("RGB", (140, 100))
    ImageDraw.Draw(image).polygon(
        [(x - 0.5, y - 0.5) for x, y in np.reshape(SHAPE, (-1, 2))], fill=(250, 240, 230)
    )
    image.save(path)
    polygon = [SHAPE]
    code = rle.merge(rle.frPyObjects(polygon, 100, 140))
    return {
        kind: {
            "file_name": str(path),
            "image_id": 1,
            "height": 100,
            "width": 140,
            "annotations": [
                {
                    "bbox": [20.0, 15.0, 60.0, 75.0],
                    "bbox_mode": BoxMode.XYWH_ABS,
                    "category_id": 2,
                    "iscrowd": 0,
                    "segmentation": segmentation,
                }
            ],
        }
        for kind, segmentation in (("polygon", polygon), ("rle", code))
    }


def mask_of(instances: Any) -> np.ndarray:
    if isinstance(instances.gt_masks, BitMasks):
        return instances.gt_masks.tensor.numpy().any(axis=0)
    return np.any([polygons_to_bitmask(parts, *instances.image_size) for parts in instances.gt_masks], axis=0)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / max((a | b).sum(), 1))


@pytest.mark.parametrize("mask_format", ["polygon", "bitmask"])
@pytest.mark.parametrize("kind", ["polygon", "rle"])
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_masks_and_boxes_follow_the_image(
    bracket: dict[str, dict[str, Any]], name: str, kind: str, mask_format: str
) -> None:
    """Whatever is done to the image, the mask covers the bright pixels and the box is tight around them."""
    mapper = TrainMapper(config(**AUGMENTATIONS[name], **{"INPUT.MASK_FORMAT": mask_format}), seed=5)
    seen = set()
    for position in range(8):
        sample = mapper(bracket[kind], position)
        pixels, instances = sample["image"].numpy(), sample["instances"]
        bright = pixels.max(axis=0) > 100
        seen.add(pixels.tobytes())
        assert instances.image_size == pixels.shape[1:]
        if bright.sum() < 50:
            continue
        assert iou(mask_of(instances), bright) > 0.9
        assert instances.gt_classes.tolist() == [2]
        rows, columns = np.flatnonzero(bright.any(1)), np.flatnonzero(bright.any(0))
        tight = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        assert np.abs(instances.gt_boxes.tensor.numpy()[0] - tight).max() < 2.5
        assert isinstance(
            instances.gt_masks, PolygonMasks if (kind, mask_format) == ("polygon", "polygon") else BitMasks
        )
    assert (len(seen) > 1) == (name not in {"nothing", "smaller"})


def test_a_sample_depends_on_seed_and_position_alone(bracket: dict[str, dict[str, Any]]) -> None:
    """Equal seed and position give equal samples, in any order; numpy's global state stays as it was."""
    cfg = config(**AUGMENTATIONS["everything"])
    np.random.seed(1)
    before = np.random.get_state()[1].tolist()
    first = [TrainMapper(cfg, seed=7)(bracket["polygon"], position)["image"] for position in range(6)]
    other = TrainMapper(cfg, seed=7)
    again = [other(bracket["polygon"], position)["image"] for position in reversed(range(6))][::-1]
    reseeded = [TrainMapper(cfg, seed=8)(bracket["polygon"], position)["image"] for position in range(6)]
    TestMapper(cfg)(bracket["polygon"])
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(a.shape == b.shape and torch.equal(a, b) for a, b in zip(first, reseeded, strict=True))
    assert np.random.get_state()[1].tolist() == before


@pytest.mark.parametrize(
    ("mask_format", "crop"), [("bitmask", True), ("bitmask", False), ("polygon", False)]
)  # to crop polygons Detectron2 needs shapely
def test_equals_detectron2_bit_for_bit(parts: Path, mask_format: str, crop: bool) -> None:
    """From the same random numbers Detectron2's own mapper makes the same sample, where it can make one."""
    cfg = config(**{"INPUT.MASK_FORMAT": mask_format, "INPUT.RANDOM_FLIP": "horizontal"})
    cfg.INPUT.CROP.ENABLED, cfg.INPUT.MIN_SIZE_TRAIN = crop, (90, 128, 150)
    stock, ours = DatasetMapper(cfg, is_train=True), TrainMapper(cfg, seed=3)
    compared = 0
    for position, record in enumerate(training_records(parts)):
        sample = ours(comparable(record, mask_format), position)
        np.random.seed((3, position, 0))
        expected = stock(comparable(record, mask_format))
        assert torch.equal(sample["image"], expected["image"])
        got, wanted = sample["instances"], expected["instances"]
        assert torch.equal(got.gt_classes, wanted.gt_classes)
        assert torch.equal(got.gt_boxes.tensor, wanted.gt_boxes.tensor)
        if mask_format == "bitmask":
            assert torch.equal(got.gt_masks.tensor, wanted.gt_masks.tensor)
        elif len(got):
            flat = [np.concatenate(polygons) for polygons in got.gt_masks]
            assert all((a == np.concatenate(b)).all() for a, b in zip(flat, wanted.gt_masks, strict=True))
        compared += len(got)
    assert compared > 30


def comparable(record: dict[str, Any], mask_format: str) -> dict[str, Any]:
    """What Detectron2's mapper takes without loss: no RLE among polygons, no whole numbers (truncated)."""
    annotations = [
        {**item, "bbox": [float(side) for side in item["bbox"]]}
        for item in record["annotations"]
        if mask_format == "bitmask" or isinstance(item["segmentation"], list)
    ]
    return {**record, "annotations": annotations}


def training_records(parts: Path) -> list[dict[str, Any]]:
    return dataset_dicts(register(parse_spec((parts / "spec.yaml").read_text(), parts)).train)


def test_drops_what_a_crop_leaves_nothing_of(bracket: dict[str, dict[str, Any]]) -> None:
    """A crop beside the part gives an image without instances, which models train on as background."""
    crop = {"INPUT.CROP.ENABLED": True, "INPUT.CROP.TYPE": "absolute", "INPUT.CROP.SIZE": [20, 20]}
    for kind in ("polygon", "rle"):
        mapper = TrainMapper(config(**crop), seed=0)
        samples = [mapper(bracket[kind], position) for position in range(40)]
        empty = [sample for sample in samples if not len(sample["instances"])]
        assert 0 < len(empty) < 40
        assert all(sample["image"].max() < 100 for sample in empty)
        assert all(sample["instances"].has("gt_masks") for sample in empty)


def test_drops_boxes_and_polygons_of_no_extent(bracket: dict[str, dict[str, Any]]) -> None:
    """What has no width, height or area, as a few annotations of large public sets, is not trained on."""
    record = bracket["polygon"]
    sound = record["annotations"][0]
    x, y = sound["bbox"][:2]
    flat = {**sound, "bbox": [x, y, 10, 0], "segmentation": [[x, y, x + 5, y, x + 10, y]]}
    boxed = {**flat, "bbox": [x, y, 10, 2]}
    slanted = {**boxed, "segmentation": [[x, y, x + 5, y + 1, x + 10, y + 2]]}
    mapped = TrainMapper(config(), seed=0)({**record, "annotations": [boxed, sound, flat, slanted]}, 0)
    assert len(mapped["instances"]) == 1
    assert mapped["instances"].gt_boxes.tensor.tolist() == [[*sound["bbox"][:2], 80, 90]]


def test_crowd_regions_are_not_trained_on(bracket: dict[str, dict[str, Any]]) -> None:
    """Only instances become targets; a crowd RLE does not turn an image of polygons into bit masks."""
    record = bracket["polygon"]
    crowd = {**bracket["rle"]["annotations"][0], "iscrowd": 1}
    sample = TrainMapper(config(), seed=0)({**record, "annotations": [*record["annotations"], crowd]}, 0)
    assert len(sample["instances"]) == 1
    assert isinstance(sample["instances"].gt_masks, PolygonMasks)


@pytest.mark.parametrize("image_format", ["BGR", "RGB", "L"])
def test_samples_share_no_memory_with_the_cache(
    bracket: dict[str, dict[str, Any]], image_format: str
) -> None:
    """Writing into a sample changes neither the next sample nor the record."""
    cfg = config(**{"INPUT.FORMAT": image_format})
    cfg.INPUT.MIN_SIZE_TRAIN = (0,)  # as it is: no resize makes a copy
    cache = ImageCache()
    mapper, test_mapper = TrainMapper(cfg, seed=0, images=cache), TestMapper(cfg, images=cache)
    for kind in ("polygon", "rle"):
        first, test_first = mapper(bracket[kind], 0), test_mapper(bracket[kind])
        image, boxes, mask = (
            first["image"].clone(),
            first["instances"].gt_boxes.tensor.clone(),
            mask_of(first["instances"]),
        )
        first["image"].zero_()
        test_first["image"].zero_()
        first["instances"].gt_boxes.tensor.zero_()
        first["instances"].gt_classes.zero_()
        if isinstance(first["instances"].gt_masks, PolygonMasks):
            first["instances"].gt_masks.polygons[0][0][:] = 0
        again = mapper(bracket[kind], 0)
        assert torch.equal(again["image"], image)
        assert torch.equal(test_mapper(bracket[kind])["image"], image)
        assert torch.equal(again["instances"].gt_boxes.tensor, boxes)
        assert again["instances"].gt_classes.tolist() == [2]
        assert (mask_of(again["instances"]) == mask).all()


def test_saturation_knows_the_order_of_the_channels(bracket: dict[str, dict[str, Any]]) -> None:
    """BGR and RGB samples of one position are the same colours in another order."""
    samples = {
        order: TrainMapper(config(**{"INPUT.SATURATION": 0.5, "INPUT.FORMAT": order}), seed=0)(
            bracket["rle"], 1
        )["image"]
        for order in ("BGR", "RGB")
    }
    assert torch.equal(samples["BGR"].flip(0), samples["RGB"])


def test_scale_jitter_goes_both_ways_of_the_chosen_size(bracket: dict[str, dict[str, Any]]) -> None:
    """Where the limit on the longer edge equals the chosen size, images still become larger and smaller."""
    cfg = config(**{"INPUT.SCALE_JITTER": 0.25, "INPUT.MAX_SIZE_TRAIN": 140})
    mapper = TrainMapper(cfg, seed=0)
    widths = [mapper(bracket["polygon"], position)["image"].shape[2] for position in range(60)]
    assert 105 <= min(widths) < 115
    assert 165 < max(widths) <= 175


def test_evaluation_only_resizes(bracket: dict[str, dict[str, Any]]) -> None:
    """The test mapper gives the image in the test size, the size of the file and no annotations."""
    sample = TestMapper(config(**{"INPUT.MIN_SIZE_TEST": 50}))(bracket["rle"])
    assert sample.pop("image").shape == (3, 50, 70)
    expected = {key: bracket["rle"][key] for key in ("file_name", "image_id", "height", "width")}
    assert sample == expected


AUGMENTED = {
    "augment.flip": "horizontal",
    "augment.brightness": 0.3,
    "augment.saturation": 0.3,
    "augment.crop": 0.6,
    "augment.large_scale_jitter": True,
    "augment.rotation": 40.0,
    "augment.copy_paste": 0.5,
    "mask_head.name": "pointrend",
}


@pytest.mark.parametrize("preset", ["mask_rcnn_tiny", "mask_rcnn_R_50_FPN"])
@pytest.mark.parametrize("size", [None, 96])
def test_testing_sees_the_size_and_the_pixels_that_training_declared(
    parts: Path, preset: str, size: int | None
) -> None:
    """Augmented or not, an evaluated image is what training shows of it without augmentation."""
    sized: dict[str, Any] = {} if size is None else {"input.size": size}
    spec = make_spec(base={"preset": preset, "weights": "none"})
    plain, augmented = (
        build_config(spec, params, seed=0, output_dir="", num_classes=3, device="cpu")
        for params in ({**sized, "augment.flip": "none"}, {**sized, **AUGMENTED})
    )
    for node in ("PIXEL_MEAN", "PIXEL_STD"):
        assert plain.MODEL[node] == augmented.MODEL[node]
    train, record = plain.clone(), training_records(parts)[0]
    train.defrost()
    # Of several sizes in training, the one that testing has.
    train.INPUT.MIN_SIZE_TRAIN, train.INPUT.MAX_SIZE_TRAIN = (plain.INPUT.MIN_SIZE_TEST,), 4000
    assert plain.INPUT.MIN_SIZE_TEST in plain.INPUT.MIN_SIZE_TRAIN
    shown = TrainMapper(train, seed=0)(record, 0)["image"]
    for cfg in (plain, augmented):
        assert torch.equal(TestMapper(cfg)(record)["image"], shown)


def test_an_image_of_another_size_is_refused(bracket: dict[str, dict[str, Any]]) -> None:
    """A record that disagrees with its file raises instead of training on shifted masks."""
    with pytest.raises(SizeMismatchError):
        TrainMapper(config(), seed=0)({**bracket["rle"], "height": 99}, 0)
