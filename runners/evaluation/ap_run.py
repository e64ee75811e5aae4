"""An AP of some detections as a paired bootstrap takes it: matched once, with all it is made of."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from runners.evaluation.aim import aim_of
from runners.evaluation.bootstrap import category_matches
from runners.evaluation.detections import Detections
from runners.evaluation.paired import ApRun
from runners.evaluation.results import box_results, check, mask_results
from runners.evaluation.truth import GroundTruth
from runners.evaluation.vernier_matching import match
from sweeps.core.size_bins import SizeBins

_KINDS: tuple[Literal["segm", "boundary", "bbox"], ...] = ("segm", "boundary", "bbox")


def ap_run(
    metric: str,
    truth: GroundTruth,
    detections: Sequence[Detections],
    *,
    size_bins: SizeBins,
    max_detections: int,
) -> ApRun:
    """The matches behind an AP; on all images it is what `evaluate_detections` measures.

    Args:
        metric: `segm/AP`, `bbox/AP50`, `boundary/AP-gear`, `segm/AP_tiny` and the like.
        truth: The annotations.
        detections: One item an image.
        size_bins: Name -> (low, high) in px.
        max_detections: An image's best detections of a category that count, at least 1.

    Raises:
        ValueError: The metric is no AP of this data, or the detections are not as `check` wants them.
    """
    kind, _, name = metric.partition("/")
    found, aim = aim_of(f"segm/{name}", truth.names, size_bins)
    kinds = [each for each in _KINDS if each == kind]
    if not kinds or found != f"segm/{name}":
        known = ", ".join(truth.names)
        raise ValueError(f"{metric} is no AP of this data, whose categories are {known}")
    check(truth, detections)
    results = (box_results if kind == "bbox" else mask_results)(truth, detections)
    grid = match(
        truth, results, kinds[0], areas={"aim": aim.area}, max_detections=max_detections, keep_matches=True
    )
    cells, images = grid.eval_imgs(), len(truth.sizes)
    places = {image_id: index for index, image_id in enumerate(truth.sizes)}
    categories = []
    for k in range(len(truth.names)) if aim.classes is None else aim.classes:
        matches = category_matches(cells[k * images : (k + 1) * images], places)
        if matches is not None:
            ious = list(aim.ious)
            categories.append(replace(matches, hits=matches.hits[ious], misses=matches.misses[ious]))
    if not categories:
        raise ValueError(f"{metric} is not measured: the data has no object for it")
    return ApRun(categories)
