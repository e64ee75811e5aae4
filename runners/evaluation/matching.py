"""COCO's matching of detections to ground truth, for several mask thresholds at once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runners.evaluation.coco import IOU_THRESHOLDS, RECALLS


@dataclass(frozen=True, slots=True)
class Matches:
    """What became of an image's detections of one class, best score first.

    Attributes:
        matched: (A, M, T, D) whether a detection has a ground truth of its own.
        ignored: (A, M, T, D) whether it counts neither as right nor as wrong.
        objects: (M, D) the ground truth it got at the first IoU threshold in the first area range; -1: none.
        iou: (M, D) IoU with that; 0 if there is none.
    """

    matched: NDArray[np.bool_]
    ignored: NDArray[np.bool_]
    objects: NDArray[np.int64]
    iou: NDArray[np.float64]

    def first(self, count: int) -> "Matches":
        """The same for the best `count` detections alone: worse ones never change what better ones get."""
        best = slice(count)
        return Matches(
            self.matched[..., best], self.ignored[..., best], self.objects[:, best], self.iou[:, best]
        )


def match(
    ious: NDArray[np.float64],
    areas: NDArray[np.int64],
    truth_areas: NDArray[np.float64],
    crowd: NDArray[np.bool_],
    ranges: NDArray[np.float64],
) -> Matches:
    """Gives each detection, best score first, the ground truth that it overlaps most and that is still free.

    Args:
        ious: (M, D, G) for M mask thresholds, D detections by falling score, G ground truths.
        areas: (M, D) of the detections in pixels.
        truth_areas: (G,) as the annotations give them.
        crowd: (G,) whether a ground truth is a crowd region: ignored, and matched by any number of them.
        ranges: (A, 2) area ranges, both ends included; ground truth outside of one is ignored in it.

    Source: COCOeval.evaluateImg of pycocotools, whose results it equals: of equally good ground truths the
    last one is taken, and one that is ignored only if no other will do.
    """
    masks, detections, truths = ious.shape
    shape = (len(ranges), masks, len(IOU_THRESHOLDS), detections)
    matched, ignored = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
    objects, iou = np.full((masks, detections), -1, np.int64), np.zeros((masks, detections))
    low: NDArray[np.float64] = ranges[:, :1]
    high: NDArray[np.float64] = ranges[:, 1:]
    outside = (areas[None] < low[:, :, None]) | (areas[None] > high[:, :, None])  # (A, M, D)
    if truths:
        skip = np.asarray(crowd | (truth_areas < low) | (truth_areas > high), np.bool_)  # (A, G)
        needed = np.minimum(IOU_THRESHOLDS, 1 - 1e-10)[:, None]
        free = np.ones((*shape[:3], truths), np.bool_)
        counted = ~skip[:, None, None, :]
        places = np.arange(truths)
        near: NDArray[np.bool_] = ious >= IOU_THRESHOLDS[0]
        for d in range(detections):
            candidate = free & near[None, :, None, d]
            if not candidate.any():
                continue
            candidate &= ious[None, :, None, d] >= needed
            better = candidate & counted
            any_better = better.any(axis=-1, keepdims=True)
            candidate = np.where(any_better, better, candidate)
            found = np.asarray(candidate.any(axis=-1), np.bool_)
            value = np.where(candidate, ious[None, :, None, d], -1.0)
            chosen = np.asarray(truths - 1 - value[..., ::-1].argmax(axis=-1))
            matched[..., d] = found
            ignored[..., d] = found & np.take_along_axis(
                np.broadcast_to(skip[:, None, None, :], free.shape), chosen[..., None], axis=-1
            ).squeeze(-1)
            taken = found[..., None] & (places == chosen[..., None]) & ~crowd
            free &= ~taken
            best = np.take_along_axis(ious[:, d], chosen[0, :, 0][:, None], axis=-1).squeeze(-1)
            iou[:, d] = np.where(found[0, :, 0], best, 0.0)
            objects[:, d] = np.where(found[0, :, 0], chosen[0, :, 0], -1)
    ignored |= ~matched & outside[:, :, None, :]
    return Matches(matched, ignored, objects, iou)


def precisions(matched: NDArray[np.bool_], ignored: NDArray[np.bool_], truths: int) -> NDArray[np.float64]:
    """Interpolated precision at 101 recalls.

    Args:
        matched: (..., D) of all images, by falling score.
        ignored: (..., D).
        truths: Ground truths that count, at least 1.

    Returns:
        (..., 101) in 0 to 1.

    Source: COCOeval.accumulate of pycocotools.
    """
    *batch, detections = matched.shape
    result = np.zeros((*batch, len(RECALLS)))
    if not detections:
        return result
    right = np.cumsum(matched & ~ignored, axis=-1, dtype=np.float64)
    wrong = np.cumsum(~matched & ~ignored, axis=-1, dtype=np.float64)
    recall = right / truths
    precision = right / (wrong + right + np.spacing(1))
    precision = np.maximum.accumulate(precision[..., ::-1], axis=-1)[..., ::-1]
    flat = result.reshape(-1, len(RECALLS))
    for row, its_recall, its_precision in zip(
        flat, recall.reshape(-1, detections), precision.reshape(-1, detections), strict=True
    ):
        places = np.searchsorted(its_recall, RECALLS, side="left")
        reached = int(np.searchsorted(places, detections))  # places ascend: beyond is never reached
        row[:reached] = its_precision[places[:reached]]
    return result
