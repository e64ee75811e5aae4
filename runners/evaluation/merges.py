"""How often two objects become one mask, and how often one object becomes several.

Under- and over-segmentation after Hoover et al., An experimental comparison of range image segmentation
algorithms, IEEE TPAMI 18(7), 1996, with its least tolerance of one half.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from hotcoco import mask as rle
from numpy.typing import NDArray

if TYPE_CHECKING:
    from runners.evaluation.results import Results
    from runners.evaluation.truth import GroundTruth, Instance

MIN_SCORE = 0.5
"""Detections below this score are left out: what Detectron2's demo shows, and so what a user sees."""

TOUCHING_GAP_PX = 1
"""Instances touch if at most this many pixels lie between them: annotators leave such a line between two."""

COVERED = 0.5
"""What has at least this share of its pixels in a mask belongs to it."""


@dataclass(frozen=True, slots=True)
class TouchingPair:
    """Two instances of an image that touch, as indices into the ground truth's instances."""

    first: int
    second: int


def touching_pairs(
    instances: Sequence["Instance"], by_image: Mapping[int, Sequence[int]]
) -> dict[int, list[TouchingPair]]:
    """Pairs with at most `TOUCHING_GAP_PX` between their masks, diagonals included.

    Of any two categories. Left out is a pair of which one has at least half of itself in the other, a part
    annotated upon its whole: a perfect mask of the whole covers both.

    Args:
        instances: All annotations; those in `by_image` have masks.
        by_image: Image id -> indices into `instances`.
    """
    pairs: dict[int, list[TouchingPair]] = {}
    for image_id, indices in by_image.items():
        masks: dict[int, Any] = {index: instances[index].mask for index in indices}
        boxes = {index: _corners(mask) for index, mask in masks.items()}
        planes: dict[int, NDArray[np.uint8]] = {}
        for first, second in combinations(indices, 2):
            if not _near(boxes[first], boxes[second]):
                continue
            for index in (first, second):
                if index not in planes:
                    planes[index] = rle.decode(masks[index])
            if _touch(planes[first], planes[second], boxes[first]):
                pairs.setdefault(image_id, []).append(TouchingPair(first, second))
    return pairs


def _corners(mask: Any) -> tuple[int, int, int, int]:
    x, y, width, height = (int(value) for value in rle.to_bbox(mask))
    return x, y, x + width, y + height


def _near(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> bool:
    reach = TOUCHING_GAP_PX + 1
    return a[0] < b[2] + reach and b[0] < a[2] + reach and a[1] < b[3] + reach and b[1] < a[3] + reach


def _touch(a: NDArray[np.uint8], b: NDArray[np.uint8], box: tuple[int, int, int, int]) -> bool:
    """Whether `b` comes near `a`, whose box is given; False if most of one lies in the other."""
    reach = TOUCHING_GAP_PX + 1
    x0, y0 = max(box[0] - reach, 0), max(box[1] - reach, 0)
    window = np.s_[y0 : box[3] + reach, x0 : box[2] + reach]
    near, other = a[window], b[window]
    shared = int(np.count_nonzero(near & other))
    if shared and shared >= COVERED * min(int(a.sum(dtype=np.int64)), int(b.sum(dtype=np.int64))):
        return False
    return bool((_dilated(near, reach) & other).any())


def _dilated(plane: NDArray[np.uint8], pixels: int) -> NDArray[np.uint8]:
    """Grown by so many pixels in all eight directions."""
    for axis in (0, 1):
        grown = plane.copy()
        for step in range(1, pixels + 1):
            ahead = np.roll(plane, step, axis)
            behind = np.roll(plane, -step, axis)
            if axis == 0:
                ahead[:step], behind[-step:] = 0, 0
            else:
                ahead[:, :step], behind[:, -step:] = 0, 0
            grown |= ahead | behind
        plane = grown
    return plane


def merge_and_split_rates(truth: "GroundTruth", results: "Results") -> dict[str, float]:
    """`overlap/merge_rate` and `overlap/split_rate` in percent, at detections with a score of at least 0.5.

    Merged is a touching pair both halves of which lie, by at least half of their pixels each, in one
    detection. Split is an instance that no detection has at IoU 0.5, but that at least two fragments make up:
    detections that lie in it by at least half of themselves, cover less than half of it each, and at least
    half together. Classes do not matter: a merged mask has but one. A rate without any pair, or instance, is
    absent.

    Args:
        truth: The annotations, with masks.
        results: Checked COCO results with masks.
    """
    shown: dict[int, list[Any]] = {}
    for result in results:
        if result["score"] >= MIN_SCORE:
            shown.setdefault(result["image_id"], []).append(result["segmentation"])
    pairs = sum(map(len, truth.touching.values()))
    instances = sum(map(len, truth.by_image.values()))
    merged = split = 0
    for image_id, masks in shown.items():
        if image_id in truth.by_image:
            merges, splits = _mistakes(truth, image_id, masks)
            merged, split = merged + merges, split + splits
    rates = {"overlap/merge_rate": (merged, pairs), "overlap/split_rate": (split, instances)}
    return {name: 100 * count / of for name, (count, of) in rates.items() if of}


def _mistakes(truth: "GroundTruth", image_id: int, shown: list[Any]) -> tuple[int, int]:
    """Merged pairs and split instances of an image, by the masks shown."""
    areas = np.array([int(rle.area(mask)) for mask in shown], np.float64)
    masks = [mask for mask, area in zip(shown, areas.tolist(), strict=True) if area > 0]
    areas = areas[areas > 0]
    if not masks:
        return 0, 0
    indices = truth.by_image[image_id]
    truths: list[Any] = [truth.instances[index].mask for index in indices]
    own = np.array([int(rle.area(mask)) for mask in truths], np.float64)
    # against crowds, IoU is the share of the detection
    inside = rle.iou(masks, truths, [True] * len(truths))  # (detections, instances)
    shared = np.rint(inside * areas[:, None])  # pixels, as whole as they were
    cover = shared / np.maximum(own, 1)
    place = {index: number for number, index in enumerate(indices)}
    merged = sum(
        bool(((cover[:, place[pair.first]] >= COVERED) & (cover[:, place[pair.second]] >= COVERED)).any())
        for pair in truth.touching.get(image_id, ())
    )
    ious = shared / (areas[:, None] + own - shared)
    fragments = (inside >= COVERED) & (cover < COVERED)
    candidates = (ious.max(axis=0) < COVERED) & (fragments.sum(axis=0) >= 2)
    split = sum(_made_up(masks, truths, fragments, own, candidates))
    return merged, split


def _made_up(
    masks: Sequence[Any],
    truths: Sequence[Any],
    fragments: NDArray[np.bool_],
    own: NDArray[np.float64],
    candidates: NDArray[np.bool_],
) -> Iterator[bool]:
    """For each candidate whether its fragments cover at least half of it together."""
    for number in np.flatnonzero(candidates).tolist():
        together = rle.merge([masks[k] for k in np.flatnonzero(fragments[:, number]).tolist()])
        covered = int(rle.area(rle.merge([together, truths[number]], intersect=True)))
        yield covered >= COVERED * own[number]
