"""The one evaluator: everything that is measured on what a model found."""

from collections.abc import Sequence

from hotcoco import COCO

from runners.evaluation.coco import (
    COCO_AREAS,
    MAX_DETECTIONS,
    accumulate,
    bin_areas,
    load_results,
    summary,
)
from runners.evaluation.detections import Detections
from runners.evaluation.merges import merge_and_split_rates
from runners.evaluation.neighbours import SLICES
from runners.evaluation.results import BoxTable, Results, box_table, check, have_masks, mask_results
from runners.evaluation.size_metrics import size_metrics
from runners.evaluation.truth import GroundTruth
from runners.evaluation.vernier_matching import boundary_accumulated
from sweeps.core.size_bins import STANDARD_BINS, SizeBins


def evaluate_detections(
    truth: GroundTruth,
    detections: Sequence[Detections],
    *,
    max_detections: int = MAX_DETECTIONS,
    size_bins: SizeBins = STANDARD_BINS,
) -> dict[str, float]:
    """All metrics of `sweeps.core.metrics` that need no more than detections; AP and rates in percent.

    `segm/`, `bbox/` and `boundary/` AP and AR; `segm/AP_<bin>` with interval and count; `overlap/`. What has
    no ground truth to be measured on (APs without a small object) is absent, where pycocotools says -1. A
    model that finds nothing has AP 0. Without masks only `bbox/` is measured.

    Args:
        truth: The annotations.
        detections: One item an image; an image that is left out has none.
        max_detections: An image's best detections of a category that count, at least 1.
        size_bins: Name -> (low, high) in px, both included: the square root of an instance's area.

    Raises:
        ValueError: A detection has a score or box that is not finite, an unknown image or class, or a mask of
            another size than its image or with corrupt run lengths: hotcoco would count it silently.
    """
    check(truth, detections)
    metrics = box_metrics(truth, box_table(truth, detections), max_detections=max_detections)
    if not have_masks(detections):
        return metrics
    results = mask_results(truth, detections)
    metrics |= mask_metrics(truth, results, max_detections=max_detections, size_bins=size_bins)
    metrics |= boundary_metrics(truth, results, max_detections=max_detections)
    return metrics


def mask_metrics(
    truth: GroundTruth, results: Results, *, max_detections: int, size_bins: SizeBins
) -> dict[str, float]:
    """`segm/`, `count/` and `overlap/`, of checked results with masks."""
    masks = load_results(truth, results)
    areas = {**COCO_AREAS, **bin_areas(size_bins)}
    found = accumulate(truth, truth.coco, masks, "segm", areas=areas, max_detections=max_detections)
    metrics = {f"segm/{name}": value for name, value in summary(found, truth.names).items()}
    metrics |= size_metrics(truth, results, found, size_bins, max_detections=max_detections)
    metrics |= _overlap_metrics(truth, results, masks, max_detections)
    return metrics


def _overlap_metrics(
    truth: GroundTruth, results: Results, masks: COCO, max_detections: int
) -> dict[str, float]:
    overlaps = truth.overlaps
    metrics = {
        "count/gt_crowded": float(overlaps.crowded.sum()),
        "count/gt_occluded": float(overlaps.occluded.sum()),
        "count/gt_touching_pairs": float(sum(map(len, truth.touching.values()))),
    }
    if (overlaps.crowded | overlaps.occluded).any():
        sliced = accumulate(
            truth, truth.overlap_coco, masks, "segm", areas=SLICES, max_detections=max_detections
        )
        values = {name: sliced.average_precision(name) for name in SLICES}
        metrics |= {f"overlap/{name}": value for name, value in values.items() if value is not None}
    metrics |= merge_and_split_rates(truth, results)
    return metrics


def boundary_metrics(truth: GroundTruth, results: Results, *, max_detections: int) -> dict[str, float]:
    """`boundary/`, of checked results with masks."""
    found = summary(boundary_accumulated(truth, results, max_detections=max_detections), truth.names)
    return {f"boundary/{name}": value for name, value in found.items()}


def box_metrics(truth: GroundTruth, results: Results | BoxTable, *, max_detections: int) -> dict[str, float]:
    """`bbox/`, of checked results with boxes."""
    boxes = load_results(truth, results)
    found = summary(accumulate(truth, truth.coco, boxes, "bbox", max_detections=max_detections), truth.names)
    return {f"bbox/{name}": value for name, value in found.items()}
