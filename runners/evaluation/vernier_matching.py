"""Masks, their boundaries, and boxes, matched with the truth through vernier."""

from collections.abc import Mapping
from typing import Any, Literal

from vernier._core import EvalGrid, evaluate_bbox_grid, evaluate_boundary_grid, evaluate_segm_grid
from vernier.instance import Breakdown

from runners.evaluation.coco import COCO_AREAS, MAX_DETECTIONS, Accumulated, limits_of
from runners.evaluation.results import Results
from runners.evaluation.truth import GroundTruth

DILATION_RATIO = 0.02
"""Width of a boundary as a share of the image's diagonal: the default for COCO."""


def match(
    truth: GroundTruth,
    results: Results,
    kind: Literal["segm", "boundary", "bbox"],
    *,
    areas: Mapping[str, tuple[float, float]] = COCO_AREAS,
    max_detections: int = MAX_DETECTIONS,
    keep_matches: bool = False,
) -> EvalGrid:
    """Every detection matched with an instance, at each IoU threshold, category, area and image.

    Args:
        truth: The annotations.
        results: Checked COCO results with masks, or with boxes for `bbox`.
        kind: What IoU is taken of.
        areas: Name -> range of area in px², both ends included.
        max_detections: An image's and category's best detections that count, at least 1.
        keep_matches: Whether the grid's `eval_imgs()` will be asked for.
    """
    ranges = Breakdown.from_ranges("area", [(name, low, high) for name, (low, high) in areas.items()])
    # the box is asked for, and not read where areas are those of the masks
    boxed = kind == "bbox"
    records: Any = results if boxed else [{**result, "bbox": (0.0, 0.0, 1.0, 1.0)} for result in results]
    shared: dict[str, Any] = {
        "parity_mode": "strict",  # its other mode corrects what pycocotools does
        "max_dets_per_image": limits_of(max_detections)[-1],
        "use_cats": True,
        "area_ranges": ranges,
        "dt_area": "bbox" if boxed else "mask",
        "num_threads": 1,
        "retain_meta": keep_matches,
    }
    if kind == "boundary":
        return evaluate_boundary_grid(truth.dataset, records, dilation_ratio=DILATION_RATIO, **shared)
    if boxed:
        return evaluate_bbox_grid(truth.dataset, records, **shared)
    return evaluate_segm_grid(truth.dataset, records, **shared)


def boundary_accumulated(
    truth: GroundTruth, results: Results, *, max_detections: int = MAX_DETECTIONS
) -> Accumulated:
    """COCO's accumulation, with the smaller of mask IoU and boundary IoU in the place of IoU.

    Equal bit by bit to https://github.com/bowenc0221/boundary-iou-api, the code of Cheng et al., Boundary
    IoU, https://arxiv.org/abs/2103.16562.
    """
    grid = match(truth, results, "boundary", max_detections=max_detections)
    arrays = grid.accumulate(limits_of(max_detections))
    return Accumulated(
        arrays.precision, arrays.recall, arrays.scores, list(COCO_AREAS), limits_of(max_detections)
    )
