"""Known shapes through every augmentation that moves pixels, held against the moved mask images."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pycocotools.mask as rle
import pytest
import torch
from detectron2.data import transforms as T  # noqa: N812  # Detectron2's own alias
from detectron2.structures import BitMasks, BoxMode, PolygonMasks, polygons_to_bitmask
from PIL import Image

from runners.detectron.augmentation.copy_paste import Donors
from runners.detectron.augmentation.geometry import Rotated, Window
from runners.detectron.config import masksweep_cfg
from runners.detectron.mapper import TrainMapper

SIZE = 150, 200  # height and width
BRACKET = [[20.0, 15.0, 80.0, 15.0, 80.0, 35.0, 45.0, 35.0, 45.0, 90.0, 20.0, 90.0]]
TWO_PARTS = [
    [100.0, 20.0, 128.0, 20.0, 134.0, 60.0, 96.0, 60.0],
    [150.0, 30.0, 185.0, 30.0, 185.0, 70.0, 150.0, 70.0],
]
AUGMENTATIONS: dict[str, dict[str, Any]] = {
    "resize": {"INPUT.MIN_SIZE_TRAIN": (97, 240)},
    "horizontal flip": {"INPUT.RANDOM_FLIP": "horizontal"},
    "vertical flip": {"INPUT.RANDOM_FLIP": "vertical"},
    "crop": {"INPUT.CROP.ENABLED": True, "INPUT.CROP.TYPE": "relative_range", "INPUT.CROP.SIZE": [0.5, 0.5]},
    "scale jitter": {"INPUT.SCALE_JITTER": 0.5},
    "large-scale jitter": {"INPUT.LARGE_SCALE_JITTER": True},
    "rotation": {"INPUT.ROTATION": 180.0},
    "everything": {
        "INPUT.CROP.ENABLED": True,
        "INPUT.CROP.TYPE": "relative_range",
        "INPUT.CROP.SIZE": [0.7, 0.7],
        "INPUT.RANDOM_FLIP": "horizontal",
        "INPUT.LARGE_SCALE_JITTER": True,
        "INPUT.ROTATION": 30.0,
    },
}


def config(**keys: Any) -> Any:
    cfg = masksweep_cfg()
    cfg.MODEL.PIXEL_MEAN = [0.0, 0.0, 0.0]  # what is filled in belongs to no shape
    cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.MAX_SIZE_TRAIN = (SIZE[0],), 1000
    cfg.INPUT.RANDOM_FLIP = "none"
    for key, value in keys.items():
        cfg.merge_from_list([key, value])
    return cfg


def ring() -> np.ndarray:
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    radius = np.hypot(y - 105, x - 120)
    return (radius < 32) & (radius > 12)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A polygon, an RLE with a hole and an instance of two parts, each alone in a channel of the image."""
    masks = [polygons_to_bitmask(BRACKET, *SIZE), ring(), polygons_to_bitmask(TWO_PARTS, *SIZE)]
    code = rle.encode(np.asfortranarray(masks[1], dtype=np.uint8))
    path = tmp_path_factory.mktemp("shapes") / "a.png"
    save(path, masks)
    return record(path, [BRACKET, code, TWO_PARTS], masks)


def save(path: Path, masks: list[np.ndarray]) -> None:
    pixels = np.stack([mask * 255 for mask in masks], axis=2).astype(np.uint8)
    Image.fromarray(pixels[:, :, ::-1]).save(path)  # training reads BGR: channel k is mask k


def record(path: Path, segmentations: list[Any], masks: list[np.ndarray]) -> dict[str, Any]:
    boxes = [tight_box(mask) for mask in masks]
    return {
        "file_name": str(path),
        "image_id": 1,
        "height": masks[0].shape[0],
        "width": masks[0].shape[1],
        "annotations": [
            {
                "bbox": [x0, y0, x1 - x0, y1 - y0],
                "bbox_mode": BoxMode.XYWH_ABS,
                "category_id": category,
                "iscrowd": 0,
                "segmentation": segmentation,
            }
            for category, (segmentation, (x0, y0, x1, y1)) in enumerate(
                zip(segmentations, boxes, strict=True)
            )
        ],
    }


def tight_box(mask: np.ndarray) -> list[float]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return [float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)]


def masks_of(instances: Any) -> list[np.ndarray]:
    if isinstance(instances.gt_masks, BitMasks):
        return list(instances.gt_masks.tensor.numpy())
    assert isinstance(instances.gt_masks, PolygonMasks)
    return [polygons_to_bitmask(parts, *instances.image_size) for parts in instances.gt_masks]


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / max((a | b).sum(), 1))


def without_rle(record: dict[str, Any]) -> dict[str, Any]:
    kept = [item for item in record["annotations"] if isinstance(item["segmentation"], list)]
    return {**record, "annotations": kept}


@pytest.mark.parametrize("kind", ["polygons", "polygons and RLE"])
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_masks_and_boxes_are_those_of_the_moved_mask_images(
    shapes: dict[str, Any], name: str, kind: str
) -> None:
    """Each shape's mask is what its channel shows after the same move; boxes are within a pixel of it."""
    mapper = TrainMapper(config(**AUGMENTATIONS[name]), seed=5)
    example = shapes if kind == "polygons and RLE" else without_rle(shapes)
    compared = 0
    for position in range(25):
        sample = mapper(example, position)
        image, instances = sample["image"].numpy(), sample["instances"]
        assert instances.image_size == image.shape[1:]
        found = dict(zip(instances.gt_classes.tolist(), masks_of(instances), strict=True))
        boxes = dict(zip(instances.gt_classes.tolist(), instances.gt_boxes.tensor.tolist(), strict=True))
        for category in (item["category_id"] for item in example["annotations"]):
            shown = image[category] > 127
            if shown.sum() < 300:
                continue
            assert iou(found[category], shown) > 0.94, position
            # A polygon knows of a sliver thinner than a pixel, which the image shows as a faint trace.
            inner, outer = tight_box(shown), tight_box(image[category] > 0)
            low, high = np.minimum(inner, outer) - 1, np.maximum(inner, outer) + 1
            assert ((low <= boxes[category]) & (boxes[category] <= high)).all(), position
            compared += 1
    assert compared > 20


def test_a_box_is_its_masks_own() -> None:
    """A quarter turn of a square image moves masks exactly, and its opposite brings them back."""
    mask = np.zeros((40, 40), np.uint8)
    mask[5:12, 8:30] = 1
    turned = Rotated(90, (40, 40), (0, 0, 0)).apply_segmentation(mask)
    assert (turned == np.rot90(mask)).all()
    assert (Rotated(-90, (40, 40), (0, 0, 0)).apply_segmentation(turned) == mask).all()
    corners = Rotated(90, (40, 40), (0, 0, 0)).apply_coords(np.array([[8.0, 5.0], [30.0, 12.0]]))
    assert sorted(np.round(corners, 6).ravel().tolist()) == sorted([5.0, 32.0, 12.0, 10.0])


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_any_kind_are_rotated_and_filled_with_the_mean(channels: int, dtype: Any) -> None:
    """Grey and float images turn as well, and the corners that come free are the mean of the pixels."""
    image = np.full((30, 50, channels), 200, dtype)
    fill = (10.4, 20.0, 30.0)[:channels]
    for transform in (Rotated(45, (30, 50), fill), Window((0, 0), (30, 50), (60, 60), fill)):
        moved = transform.apply_image(image)
        assert (moved.dtype, moved.shape[2]) == (dtype, channels)
        wanted = np.rint(fill) if dtype is np.uint8 else np.asarray(fill, dtype)
        assert (moved[-1, -1] == wanted).all()
        assert (moved[10, 25] == 200).all()


def test_large_scale_jitter_keeps_the_size_and_goes_from_a_tenth_to_twice(shapes: dict[str, Any]) -> None:
    """Every image has the size of the input, and shapes are from far smaller to larger than they were."""
    mapper = TrainMapper(config(**{"INPUT.LARGE_SCALE_JITTER": True}), seed=0)
    samples = [mapper(without_rle(shapes), position) for position in range(60)]
    assert {tuple(sample["image"].shape[1:]) for sample in samples} == {SIZE}
    bracket = [sample["instances"][sample["instances"].gt_classes == 0].gt_boxes for sample in samples]
    widths = [float(boxes.tensor[0, 2] - boxes.tensor[0, 0]) for boxes in bracket if len(boxes)]
    assert min(widths) < 15  # 60 px in the file
    assert max(widths) > 90


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """A floor of three plates in the first channel, and an image of a ring and a dot in the other two."""
    directory = tmp_path_factory.mktemp("scene")
    empty = np.zeros(SIZE, bool)
    plates = []
    for left in (0, 70, 140):
        plate = empty.copy()
        plate[10:140, left : left + 50] = True
        plates.append(plate)
    dot = empty.copy()
    dot[4:9, 100:104] = True
    save(directory / "floor.png", [np.any(plates, axis=0), empty, empty])
    save(directory / "donor.png", [empty, ring(), dot])
    codes = [rle.encode(np.asfortranarray(mask, dtype=np.uint8)) for mask in (*plates, ring(), dot)]
    floor = record(directory / "floor.png", codes[:3], plates)
    donor = record(directory / "donor.png", codes[3:], [ring(), dot])
    for item in donor["annotations"]:
        item["category_id"] += 3
    return [floor, donor]


def pasting(scene: list[dict[str, Any]], **keys: Any) -> TrainMapper:
    return TrainMapper(config(**{"INPUT.COPY_PASTE": 1.0, **keys}), seed=1, donors=scene[1:])


def test_what_is_pasted_is_taken_from_the_masks_beneath(scene: list[dict[str, Any]]) -> None:
    """Image and masks agree to the pixel: the pasted shape is on top, whole, and its class comes with it."""
    mapper, pasted = pasting(scene), Counter()
    for position in range(30):
        sample = mapper(scene[0], position)
        image, instances = sample["image"].numpy() > 127, sample["instances"]
        masks = dict(zip(instances.gt_classes.tolist(), masks_of(instances), strict=True))
        assert (np.any([masks[k] for k in (0, 1, 2)], axis=0) == image[0]).all()
        for category, channel in ((3, 1), (4, 2)):
            shown = image[channel]
            assert (category in masks) == shown.any()
            if shown.any():
                pasted[category] += 1
                assert (masks[category] == shown).all()
        boxes = instances.gt_boxes.tensor.tolist()
        assert boxes == [tight_box(mask) for mask in masks_of(instances)]
    assert min(pasted[3], pasted[4]) > 10


def test_what_is_covered_whole_is_dropped(scene: list[dict[str, Any]]) -> None:
    """A dot under a plate as large as the image is no instance any more."""
    floor, donor = scene
    plate = np.ones(SIZE, np.uint8)
    cover = {**floor, "annotations": [floor["annotations"][0]]}
    cover["annotations"][0] = {
        **cover["annotations"][0],
        "segmentation": rle.encode(np.asfortranarray(plate)),
        "bbox": [0.0, 0.0, float(SIZE[1]), float(SIZE[0])],
    }
    sample = TrainMapper(config(**{"INPUT.COPY_PASTE": 1.0}), seed=0, donors=[cover])(donor, 0)
    assert sample["instances"].gt_classes.tolist() == [0]
    assert sample["instances"].gt_masks.tensor.all()


def test_shapes_larger_than_the_image_are_pasted_in_part(scene: list[dict[str, Any]]) -> None:
    """A donor that is augmented to a larger size than the image fills it with a part of its shape."""
    floor, donor = scene
    mapper = pasting([donor, floor], **{"INPUT.MIN_SIZE_TRAIN": (40, 300)})
    sizes = set()
    for position in range(40):
        sample = mapper(donor, position)
        sizes.add(sample["image"].shape[1])
        for mask, box in zip(
            masks_of(sample["instances"]), sample["instances"].gt_boxes.tensor.tolist(), strict=True
        ):
            assert box == tight_box(mask)
    assert sizes == {40, 300}


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_pasted_shapes_are_augmented_like_any(scene: list[dict[str, Any]], name: str) -> None:
    """After any move of floor and donor each mask is still what the image shows of its shape."""
    mapper = pasting(scene, **AUGMENTATIONS[name])
    compared = 0
    for position in range(12):
        sample = mapper(scene[0], position)
        image, instances = sample["image"].numpy() > 127, sample["instances"]
        for category, mask in zip(instances.gt_classes.tolist(), masks_of(instances), strict=True):
            if category == 3 and mask.sum() > 300:
                assert iou(mask, image[1]) > 0.94
                compared += 1
    assert compared > 1


def test_pasting_happens_as_often_as_asked(scene: list[dict[str, Any]]) -> None:
    """The knob is a share of the images; an image on which nothing is pasted is as if the knob were off."""
    plain = TrainMapper(config(), seed=1)
    mapper = pasting(scene, **{"INPUT.COPY_PASTE": 0.3})
    same = sum(
        torch.equal(mapper(scene[0], position)["image"], plain(scene[0], position)["image"])
        for position in range(200)
    )
    assert 120 <= same <= 160


def test_a_pasted_sample_depends_on_seed_and_position_alone(scene: list[dict[str, Any]]) -> None:
    """In any order, with any numbers drawn before: the same sample; another seed gives another one."""
    cfg = config(**{"INPUT.COPY_PASTE": 0.7, **AUGMENTATIONS["everything"]})
    first = [TrainMapper(cfg, seed=7, donors=scene)(scene[0], k) for k in range(8)]
    np.random.seed(3)
    before = np.random.get_state()[1].tolist()
    other = TrainMapper(cfg, seed=7, donors=scene)
    again = [other(scene[0], k) for k in reversed(range(8))][::-1]
    assert np.random.get_state()[1].tolist() == before
    for a, b in zip(first, again, strict=True):
        assert torch.equal(a["image"], b["image"])
        assert torch.equal(a["instances"].gt_masks.tensor, b["instances"].gt_masks.tensor)
    reseeded = [TrainMapper(cfg, seed=8, donors=scene)(scene[0], k)["image"] for k in range(8)]
    assert not all(torch.equal(a["image"], b) for a, b in zip(first, reseeded, strict=True))


def test_small_instances_can_be_preferred(scene: list[dict[str, Any]]) -> None:
    """The bias draws the dot before the ring, and images of small parts before others."""
    shares = []
    for bias in (0.0, 1.0):
        donors, random = Donors(scene, bias), np.random.RandomState(0)
        drawn = [donors.draw(random) for _ in range(400)]
        dots = sum(d.record == 1 and d.instances[0] == 1 for d in drawn)  # the first to be drawn
        shares.append((sum(d.record == 1 for d in drawn) / 400, dots / 400))
    assert 0.4 < shares[0][0] < 0.6
    assert 0.15 < shares[0][1] < 0.35
    assert min(shares[1]) > 0.95


def test_what_has_no_area_is_not_drawn(scene: list[dict[str, Any]]) -> None:
    """Places among the annotations that are learnt from: a flat polygon and a crowd region have none."""
    flat = {
        "bbox": [5.0, 5.0, 10.0, 1.0],
        "bbox_mode": BoxMode.XYWH_ABS,
        "category_id": 0,
        "segmentation": [[5.0, 5.0, 10.0, 5.0, 15.0, 5.0]],
    }
    crowd = {**scene[0]["annotations"][0], "iscrowd": 1}
    thin = [{**one, "annotations": [flat, crowd, *one["annotations"], flat]} for one in scene]
    for bias in (0.0, 1.0):
        sound, donors = Donors(scene, bias), Donors(thin, bias)
        one, other = np.random.RandomState(3), np.random.RandomState(3)
        assert [donors.draw(one) for _ in range(50)] == [sound.draw(other) for _ in range(50)]
    cfg = config(**{"INPUT.COPY_PASTE": 1.0, "INPUT.COPY_PASTE_SMALL_BIAS": 1.0})
    mapper, expected = TrainMapper(cfg, seed=1, donors=thin), TrainMapper(cfg, seed=1, donors=scene)
    for position in range(10):
        got, wanted = mapper(thin[0], position), expected(scene[0], position)
        assert torch.equal(got["image"], wanted["image"])
        assert got["instances"].gt_classes.tolist() == wanted["instances"].gt_classes.tolist()
    with pytest.raises(ValueError, match="no image with an annotation to copy from"):
        Donors([{"annotations": [flat, crowd]}], 0.0)


def test_there_has_to_be_something_to_copy() -> None:
    """Copy-paste without a single instance is an error, not an endless search."""
    with pytest.raises(ValueError, match="no image with an annotation to copy from"):
        TrainMapper(config(**{"INPUT.COPY_PASTE": 0.5}), seed=0, donors=[{"annotations": []}])


def test_transforms_are_detectron2s() -> None:
    """Ours compose with Detectron2's, as the list of a sample's transforms."""
    both = T.TransformList([Window((2, 1), (10, 10), (8, 8), (0, 0, 0)), T.HFlipTransform(8)])
    assert both.apply_coords(np.array([[3.0, 4.0]])).tolist() == [[6.0, 2.0]]
