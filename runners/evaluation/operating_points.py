"""What a model gives in use: precision, recall, F1 and LRP at each score threshold, and the best threshold.

Which detections are right does not depend on the threshold: matching is greedy by score, so that those above
a threshold are matched as if there were no others. One sort gives every threshold exactly.

Source of LRP: Oksuz et al., Localization Recall Precision, https://arxiv.org/abs/1807.01696, and One Metric
to Measure them All, https://arxiv.org/abs/2011.10772; conventions: https://github.com/kemaloksuz/LRP-Error.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runners.evaluation.outcomes import Outcomes
from sweeps.core.details import OperatingCurve, OperatingPoint, OperatingPoints

SAMPLED = tuple(step / 20 for step in range(20))
"""Score thresholds at which curves are drawn: 0, 0.05, ... 0.95, the same for every model."""


@dataclass(frozen=True, slots=True)
class _Counts:
    """Detections kept by each of K thresholds, highest first, against `objects` objects."""

    thresholds: NDArray[np.float64]  # (K,)
    right: NDArray[np.int64]  # (K,)
    wrong: NDArray[np.int64]  # (K,)
    misplaced: NDArray[np.float64]  # (K,) sum of 1 - IoU over the right ones
    objects: int
    iou_threshold: float

    @property
    def missed(self) -> NDArray[np.int64]:
        return self.objects - self.right

    @property
    def f1(self) -> NDArray[np.float64]:
        return 2 * self.right / (2 * self.right + self.wrong + self.missed)

    @property
    def lrp(self) -> NDArray[np.float64]:
        errors = self.misplaced / (1 - self.iou_threshold) + self.wrong + self.missed
        return errors / (self.right + self.wrong + self.missed)

    def point(self, k: int) -> OperatingPoint:
        kept = int(self.right[k] + self.wrong[k])
        return OperatingPoint(
            score_threshold=float(self.thresholds[k]),
            precision=float(self.right[k] / kept * 100) if kept else None,
            recall=float(self.right[k] / self.objects * 100),
            f1=float(self.f1[k] * 100),
            lrp=float(self.lrp[k] * 100),
        )


def judge(outcomes: Outcomes, names: Sequence[str]) -> tuple[dict[str, float], OperatingPoints | None]:
    """Metrics by name, and the curves. What cannot be measured is absent; without an object there is nothing.

    `op/F1`, `op/precision`, `op/recall` and `op/score_threshold` belong to the threshold with the highest F1,
    counted over all categories, and `lrp/score_threshold` is the one with the lowest LRP, likewise.
    `lrp/oLRP` and its parts are means over the categories, each at its own best threshold. A threshold lies
    half-way between the lowest score that it keeps and the next one below, so that `>` and `>=` mean the
    same; of thresholds that are equally good it is the highest.

    Args:
        outcomes: At one IoU threshold below 1.
        names: Of the categories, in the order of the classes.
    """
    if not outcomes.objects.sum():
        return {}, None
    everything = np.ones(len(outcomes.scores), np.bool_)
    overall, _ = _curve(outcomes, everything, int(outcomes.objects.sum()))
    best = overall.best_f1
    metrics = {"op/F1": best.f1 if best else 0.0, "op/recall": best.recall if best else 0.0}
    if best is not None and best.precision is not None:
        metrics |= {"op/precision": best.precision, "op/score_threshold": best.score_threshold}
    if overall.best_lrp is not None:
        metrics["lrp/score_threshold"] = overall.best_lrp.score_threshold
    measured = {
        name: _curve(outcomes, outcomes.classes == k, int(objects))
        for k, (name, objects) in enumerate(zip(names, outcomes.objects, strict=True))
        if objects
    }
    curves = {name: curve for name, (curve, _) in measured.items()}
    for name, curve in curves.items():
        metrics[f"op/F1-{name}"] = curve.best_f1.f1 if curve.best_f1 else 0.0
        metrics[f"lrp/oLRP-{name}"] = curve.best_lrp.lrp if curve.best_lrp else 100.0
        if curve.best_f1 is not None and curve.best_lrp is not None:
            metrics[f"op/score_threshold-{name}"] = curve.best_f1.score_threshold
            metrics[f"lrp/score_threshold-{name}"] = curve.best_lrp.score_threshold
    metrics |= _lrp_parts(list(curves.values()), [gap for _, gap in measured.values() if gap is not None])
    return metrics, OperatingPoints(outcomes.iou_threshold, overall, curves)


def _curve(
    outcomes: Outcomes, chosen: NDArray[np.bool_], objects: int
) -> tuple[OperatingCurve, float | None]:
    """The curve of the chosen detections against at least one object.

    With it the mean of 1 - IoU over the right detections where LRP is lowest, in %; None if none is right.
    """
    scores = outcomes.scores[chosen]
    order = np.argsort(-scores, kind="stable")
    scores, right = scores[order], outcomes.right[chosen][order]
    gaps = np.where(right, 1 - outcomes.ious[chosen][order], 0.0)
    # (N + 1,) by number of detections kept
    totals = [np.concatenate([[0], np.cumsum(each)]) for each in (right, ~right, gaps)]

    def counts(thresholds: NDArray[np.float64], kept: NDArray[np.int64]) -> _Counts:
        hits, misses, misplaced = (total[kept] for total in totals)
        return _Counts(thresholds, hits, misses, misplaced, objects, outcomes.iou_threshold)

    sampled = np.array(SAMPLED)
    in_kind = sampled.astype(scores.dtype)  # as torch does: a score of 0.7 in 32 bits is less than 0.7 in 64
    drawn = counts(sampled, np.searchsorted(-scores, -in_kind, side="right"))
    points = tuple(drawn.point(k) for k in range(len(sampled)))
    if not right.any():
        return OperatingCurve(points, None, None), None
    ends = np.flatnonzero(np.append(scores[1:] != scores[:-1], True))  # the last one of each score
    ends = ends[totals[0][ends + 1] > 0]  # with masks that just reach the IoU, LRP may be 100% throughout
    edges = np.append(scores, 0.0).astype(np.float64)
    exact = counts((edges[ends] + edges[ends + 1]) / 2, ends + 1)
    best = int(exact.lrp.argmin())
    curve = OperatingCurve(points, exact.point(int(exact.f1.argmax())), exact.point(best))
    return curve, float(exact.misplaced[best] / exact.right[best] * 100)


def _lrp_parts(curves: Sequence[OperatingCurve], gaps: Sequence[float]) -> dict[str, float]:
    """oLRP and its parts, means over the categories; one without a right detection has oLRP and FN of 100."""
    best = [curve.best_lrp for curve in curves]
    found = [point for point in best if point is not None]
    metrics = {
        "lrp/oLRP": float(np.mean([100.0 if point is None else point.lrp for point in best])),
        "lrp/oLRP_FN": float(np.mean([100.0 if point is None else 100 - point.recall for point in best])),
    }
    if found:
        metrics["lrp/oLRP_loc"] = float(np.mean(gaps))
        metrics["lrp/oLRP_FP"] = float(np.mean([100 - (point.precision or 0.0) for point in found]))
    return metrics
