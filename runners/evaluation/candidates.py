"""What one pass keeps of each image: enough to score every setting, and to write the masks of any of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from detectron2.modeling.postprocessing import detector_postprocess
from detectron2.structures import Instances
from numpy.typing import NDArray

from runners.evaluation.calibration import MaskCalibration
from runners.evaluation.coco import COCO_AREAS
from runners.evaluation.image_truth import NOTHING, ImageTruth
from runners.evaluation.matching import match
from runners.evaluation.one_pass import BoxRule, Union
from runners.evaluation.soft_masks import PackedMask, Region, levels_of, overlaps, pack, paste

Planes: TypeAlias = Mapping[int, Sequence[NDArray[np.uint8]]]
"""Masks of an image's ground truth by class, each of the image's size."""


@dataclass(frozen=True, slots=True)
class Overlaps:
    """How the detections of one class lie over its ground truth.

    Attributes:
        rows: (D,) rows of the image's candidates that are of this class.
        areas: (M, D) pixels of their masks at each mask threshold.
        ious: (M, D, G) with the ground truth; with a crowd region, the share of the mask within it.
    """

    rows: NDArray[np.int64]
    areas: NDArray[np.int64]
    ious: NDArray[np.float64]

    def of(self, rows: Sequence[int]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """(M, D, G) IoUs and (M, D) areas of some of the rows, in their order."""
        places = [int(np.searchsorted(self.rows, row)) for row in rows]
        return self.ious[:, places], self.areas[:, places]


@dataclass(frozen=True, slots=True)
class Candidates:
    """All detections of one image that any rule for boxes keeps.

    Attributes:
        image_id: The image's id in the annotations file.
        boxes: (N, 4) XYXY in pixels of the original image.
        scores: (N,) final scores, 0 to 1.
        classes: (N,) contiguous class indices.
        masks: N masks at all mask thresholds.
        kept: For each rule the rows that it keeps, best score first.
        overlaps: By class; classes that neither a detection nor a ground truth is of are absent.
    """

    image_id: int
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]
    masks: Sequence[PackedMask]
    kept: Mapping[BoxRule, NDArray[np.int64]]
    overlaps: Mapping[int, Overlaps]


@dataclass(frozen=True, slots=True)
class Placed:
    """An image's boxes in its own pixels, with soft masks.

    Attributes:
        rows: (N,) rows of the union that are left: boxes that are empty in the image are dropped.
        boxes, scores, classes: As in `Candidates`.
        regions: N soft masks.
    """

    rows: NDArray[np.int64]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]
    regions: Sequence[Region]


def place(item: Mapping[str, Any], union: Union) -> Placed:
    """Scales and clips boxes as Detectron2 does, and pastes their masks.

    Args:
        item: Detectron2's input: `height` and `width` of the original image.
        union: Boxes in the scale of the model's input, with masks.
    """
    size = item["height"], item["width"]
    found = union.instances
    bare = Instances(found.image_size)
    bare.pred_boxes, bare.scores, bare.pred_classes = (
        found.pred_boxes.clone(),
        found.scores,
        found.pred_classes,
    )
    bare.row = torch.arange(len(found), device=found.scores.device)
    placed = detector_postprocess(bare, *size)
    boxes = placed.pred_boxes.tensor
    regions = list(paste(found.pred_masks[:, 0][placed.row], boxes, size))
    rows, scores, classes = (
        value.cpu().numpy() for value in (placed.row, placed.scores, placed.pred_classes)
    )
    return Placed(rows, boxes.cpu().numpy(), scores, classes, regions)


def candidates_of(
    item: Mapping[str, Any],
    union: Union,
    placed: Placed,
    *,
    thresholds: Sequence[float],
    truths: Mapping[int, ImageTruth],
    planes: Planes,
) -> Candidates:
    """What is kept of one image.

    Args:
        item: Detectron2's input: `image_id`, and `height` and `width` of the original image.
        union: The image's boxes.
        placed: The same in the image.
        thresholds: M mask thresholds, ascending.
        truths: The image's ground truth by class.
        planes: Its masks.
    """
    size = item["height"], item["width"]
    levels_at = np.array(thresholds, np.float32)
    masks: list[PackedMask] = []
    counted: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    for region, k in zip(placed.regions, placed.classes.tolist(), strict=True):
        levels = levels_of(region, levels_at)
        counted.append(overlaps(region, levels, len(thresholds), planes.get(k, ())))
        masks.append(pack(region, levels, size))
    over = {}
    for k in {*placed.classes.tolist(), *truths}:
        rows, truth = np.flatnonzero(placed.classes == k), truths.get(k, NOTHING)
        over[k] = _overlaps(len(thresholds), counted, rows, truth, planes.get(k, ()))
    new = {int(old): row for row, old in enumerate(placed.rows)}
    kept: dict[BoxRule, NDArray[np.int64]] = {}
    for rule, order in union.kept.items():
        there = np.array([new[row] for row in order if row in new], np.int64)
        # the order of the model, unless a mask head has changed the scores
        kept[rule] = there[np.argsort(-placed.scores[there], kind="mergesort")]
    return Candidates(item["image_id"], placed.boxes, placed.scores, placed.classes, masks, kept, over)


def calibrate(
    calibration: MaskCalibration,
    found: Candidates,
    placed: Placed,
    *,
    truths: Mapping[int, ImageTruth],
    planes: Planes,
    rule: BoxRule,
    mask: int,
) -> None:
    """Takes in the pixels of the detections that are right: matched at IoU 0.5, and not with a crowd region.

    Args:
        calibration: Grows.
        found: The image's candidates.
        placed: Their soft masks.
        truths: The image's ground truth by class.
        planes: Its masks.
        rule: Which boxes count.
        mask: Place of the mask threshold at which they are matched.
    """
    for k, truth in truths.items():
        rows = [int(row) for row in found.kept[rule] if found.classes[row] == k]
        if not rows:
            continue
        ious, areas = found.overlaps[k].of(rows)
        everything = np.array([COCO_AREAS["all"]])
        matches = match(ious[mask : mask + 1], areas[mask : mask + 1], truth.areas, truth.crowd, everything)
        for row, at in zip(rows, matches.objects[0].tolist(), strict=True):
            if at >= 0 and not truth.crowd[at]:
                region = placed.regions[row]
                # sampling may leave 0 to 1 by the last bit
                probabilities = np.nan_to_num(region.probabilities).clip(0, 1)
                calibration.add(probabilities, region.cut(planes[k][at]).astype(bool))


def _overlaps(
    thresholds: int,
    counted: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]],
    rows: NDArray[np.int64],
    truth: ImageTruth,
    planes: Sequence[NDArray[np.uint8]],
) -> Overlaps:
    shape = len(rows), thresholds, len(planes)
    areas = np.array([counted[row][0] for row in rows], np.int64).reshape(shape[:2]).T  # (M, D)
    shared = np.array([counted[row][1] for row in rows], np.int64).reshape(shape).transpose(1, 0, 2)
    pixels = np.array([plane.sum() for plane in planes], np.int64)
    both = areas[:, :, None] + np.where(truth.crowd, 0, pixels - shared)
    return Overlaps(rows, areas, np.divide(shared, both, out=np.zeros(shared.shape), where=shared > 0))
