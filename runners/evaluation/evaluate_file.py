"""Scores a file of predictions, of whatever model. Needs no torch."""

import json
from pathlib import Path

from runners.annotations.coco_file import Needs, read_coco
from runners.annotations.findings import Findings
from runners.evaluation.coco import MAX_DETECTIONS
from runners.evaluation.metrics import boundary_metrics, box_metrics, mask_metrics
from runners.evaluation.prediction_file import Known, checked_results, read_records
from runners.evaluation.results import IouType, Results
from runners.evaluation.truth import GroundTruth, ground_truth
from search_spaces.issues import SpecIssue
from sweeps.core.errors import SpecInvalid
from sweeps.core.size_bins import STANDARD_BINS
from sweeps.launchers.runner import Evaluation


def evaluate_file(
    annotations: Path, predictions: Path, kind: IouType, *, max_detections: int = MAX_DETECTIONS
) -> Evaluation:
    """The metrics of one kind of IoU.

    Args:
        annotations: COCO JSON.
        predictions: COCO results.
        kind: What IoU is taken of.
        max_detections: An image's best detections of a category that count, at least 1.

    Raises:
        SpecInvalid: With everything that is wrong with the files, under `gt` and `predictions`.
    """
    truth, issues = _read_truth(annotations, kind)
    records, unreadable = read_records(predictions)
    issues += unreadable
    if truth is None or issues:
        raise SpecInvalid(issues)
    known = Known(truth.sizes, frozenset(truth.category_ids))
    results, issues = checked_results(records, known, kind)
    if issues:
        raise SpecInvalid(issues)
    return Evaluation(
        metrics=_metrics(truth, results, kind, max_detections),
        categories=truth.names,
        images=len(truth.sizes),
        instances=sum(not one["iscrowd"] for one in truth.document["annotations"]),
        detections=len(results),
    )


def _metrics(truth: GroundTruth, results: Results, kind: IouType, limit: int) -> dict[str, float]:
    match kind:
        case "segm":
            return mask_metrics(truth, results, max_detections=limit, size_bins=STANDARD_BINS)
        case "bbox":
            return box_metrics(truth, results, max_detections=limit)
        case "boundary":
            return boundary_metrics(truth, results, max_detections=limit)


def _read_truth(path: Path, kind: IouType) -> tuple[GroundTruth | None, list[SpecIssue]]:
    findings = Findings()
    needs = Needs(file_names=False, masks=kind != "bbox", areas=False)
    _, raw = read_coco(path, "gt", findings, Findings(), evaluated=True, needs=needs)
    issues = list(findings.issues())
    return (None if issues else ground_truth(json.loads(raw), masks=needs.masks)), issues
