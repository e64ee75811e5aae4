"""Detections as COCO results, checked: evaluators count silently what is wrong with them."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np

from runners.evaluation.detections import Detections
from runners.evaluation.run_lengths import broken_run_lengths
from runners.evaluation.truth import GroundTruth
from sweeps.launchers.runner import IouType

__all__ = ["IouType", "Results", "check", "coco_results", "have_masks"]

Results: TypeAlias = list[dict[str, Any]]
"""COCO results: image_id, category_id, score, and segmentation (compressed RLE) or bbox (XYWH)."""


def have_masks(detections: Sequence[Detections]) -> bool:
    """Whether masks can be measured: no item lacks them."""
    return all(item.masks is not None for item in detections)


def check(truth: GroundTruth, detections: Sequence[Detections]) -> None:
    """Checks every item.

    Raises:
        ValueError: An image is unknown or there twice; scores or boxes are not finite; classes are unknown; a
            mask has another size than its image, or run lengths that do not make it up.
    """
    seen: set[int] = set()
    for item in detections:
        _check_item(truth, item)
        if item.image_id in seen:
            raise ValueError(f"detections of image {item.image_id}: the image is there twice")
        seen.add(item.image_id)
    owners = [item.image_id for item in detections for _ in item.masks or ()]
    masks = [mask for item in detections for mask in item.masks or ()]
    for index, problem in broken_run_lengths(masks):
        raise ValueError(f"detections of image {owners[index]}: {problem}")


def coco_results(truth: GroundTruth, detections: Sequence[Detections], kind: IouType) -> Results:
    """The detections as COCO results.

    A mask's has no box: with one its area would be the box's, and APs, APm, APl would change.
    """
    return list(_boxes(truth, detections) if kind == "bbox" else _masks(truth, detections))


def _masks(truth: GroundTruth, detections: Sequence[Detections]) -> Iterator[dict[str, Any]]:
    for item in detections:
        categories = [truth.category_ids[k] for k in item.classes.tolist()]
        for category, score, mask in zip(categories, item.scores.tolist(), item.masks or (), strict=True):
            yield {
                "image_id": item.image_id,
                "category_id": category,
                "score": score,
                "segmentation": mask,
            }


def _boxes(truth: GroundTruth, detections: Sequence[Detections]) -> Iterator[dict[str, Any]]:
    for item in detections:
        categories = [truth.category_ids[k] for k in item.classes.tolist()]
        corners = item.boxes
        boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1).tolist()
        for category, score, box in zip(categories, item.scores.tolist(), boxes, strict=True):
            yield {"image_id": item.image_id, "category_id": category, "score": score, "bbox": box}


def _check_item(truth: GroundTruth, item: Detections) -> None:
    where = f"detections of image {item.image_id}"
    if item.image_id not in truth.sizes:
        raise ValueError(f"{where}: no such image in the annotations")
    count = len(item.scores)
    if item.boxes.shape != (count, 4) or item.classes.shape != (count,):
        raise ValueError(
            f"{where}: {count} scores, but boxes {item.boxes.shape} and classes {item.classes.shape}"
        )
    if not (np.isfinite(item.scores).all() and np.isfinite(item.boxes).all()):
        raise ValueError(f"{where}: a score or box is not finite")
    if count and not 0 <= item.classes.min() <= item.classes.max() < len(truth.category_ids):
        raise ValueError(f"{where}: classes must be 0 to {len(truth.category_ids) - 1}")
    if item.masks is None:
        return
    size = truth.sizes[item.image_id]
    if len(item.masks) != count or any(tuple(mask["size"]) != size for mask in item.masks):
        raise ValueError(f"{where}: every detection must have a mask of {size[0]} x {size[1]} pixels")
