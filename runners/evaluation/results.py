"""Detections as COCO results, checked: evaluators count silently what is wrong with them."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from runners.evaluation.detections import Detections
from runners.evaluation.run_lengths import broken_run_lengths
from runners.evaluation.truth import GroundTruth
from sweeps.launchers.runner import IouType

__all__ = [
    "BoxTable",
    "IouType",
    "Results",
    "box_results",
    "box_table",
    "check",
    "have_masks",
    "mask_results",
]

BoxTable: TypeAlias = NDArray[np.float64]
"""(N, 7) COCO results of boxes: image id, x, y, width, height, score, category id."""
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
    masked = [item for item in detections if item.masks]
    masks = [mask for item in masked for mask in item.masks or ()]
    if not masks:
        return
    owners = np.repeat(np.arange(len(masked)), [len(item.masks or ()) for item in masked])
    expected = np.array([truth.sizes[item.image_id] for item in masked])[owners]
    sizes = np.array([mask["size"] for mask in masks])
    for index in np.flatnonzero((sizes != expected).any(axis=1)).tolist():
        raise ValueError(
            f"detections of image {masked[owners[index]].image_id}: got a mask of {sizes[index][0]} x"
            f" {sizes[index][1]} pixels, but needs {expected[index][0]} x {expected[index][1]}"
        )
    for index, problem in broken_run_lengths([mask["counts"] for mask in masks], expected.prod(axis=1)):
        raise ValueError(f"detections of image {masked[owners[index]].image_id}: {problem}")


def mask_results(truth: GroundTruth, detections: Sequence[Detections]) -> Results:
    """The masks as COCO results.

    They have no box: with one a detection's area would be the box's, and APs, APm, APl would change.
    """
    return [
        {"image_id": item.image_id, "category_id": category, "score": score, "segmentation": mask}
        for item in detections
        for category, score, mask in zip(
            (truth.category_ids[k] for k in item.classes.tolist()),
            item.scores.tolist(),
            item.masks or (),
            strict=True,
        )
    ]


def box_table(truth: GroundTruth, detections: Sequence[Detections]) -> BoxTable:
    """The boxes as COCO results in one array."""
    category_ids = np.array(truth.category_ids, np.float64)
    rows = [
        np.column_stack(
            (
                np.full(len(item.scores), item.image_id, np.float64),
                item.boxes[:, :2],
                item.boxes[:, 2:] - item.boxes[:, :2],
                item.scores,
                category_ids[item.classes],
            )
        )
        for item in detections
    ]
    return np.concatenate([np.zeros((0, 7)), *rows])


def box_results(truth: GroundTruth, detections: Sequence[Detections]) -> Results:
    """The boxes as COCO results."""
    return [
        {"image_id": int(image), "category_id": int(category), "score": score, "bbox": tuple(box)}
        for image, *box, score, category in box_table(truth, detections).tolist()
    ]


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
    if item.masks is not None and len(item.masks) != count:
        raise ValueError(f"{where}: {count} scores, but {len(item.masks)} masks")
