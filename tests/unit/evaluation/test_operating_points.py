import numpy as np
import pytest

from runners.evaluation.operating_points import SAMPLED, judge
from runners.evaluation.outcomes import Outcomes, outcomes
from sweeps.core.details import OperatingPoint
from tests.unit.evaluation.scenes import detections_of, random_scene, truth_of

NAMES = ("gear", "bracket")


def outcomes_of(*found: tuple[float, int, float], objects: tuple[int, ...]) -> Outcomes:
    """Detections (score, class, IoU or 0) against that many objects a class."""
    scores, classes, ious = (
        (np.array(column) for column in zip(*found, strict=True)) if found else ([], [], [])
    )
    return Outcomes(
        0.5,
        np.asarray(scores, np.float32),
        np.asarray(classes, np.int64),
        np.asarray(ious, np.float64),
        np.asarray(ious) > 0,
        np.array(objects),
        np.zeros(len(scores), np.int64),
        (1,),
        np.array([sum(objects)]),
    )


def test_a_case_worked_out_by_hand():
    """Two of three gears are found, at IoU 0.8 and 0.6, with a wrong detection between them and one below.

    Keeping one: P 1, R 1/3, F1 1/2, LRP (0.4 + 0 + 2) / 3. Keeping two: F1 2/5. Keeping three: P 2/3, R 2/3,
    F1 2/3, LRP (0.4 + 0.8 + 1 + 1) / 4 = 0.8, as is that of one. Keeping four: F1 4/7, LRP 4.2 / 5.
    """
    found = outcomes_of((0.9, 0, 0.8), (0.7, 0, 0.0), (0.5, 0, 0.6), (0.2, 0, 0.0), objects=(3, 0))
    metrics, points = judge(found, NAMES)
    assert metrics == pytest.approx(
        {
            "op/F1": 200 / 3,
            "op/precision": 200 / 3,
            "op/recall": 200 / 3,
            "op/score_threshold": 0.35,
            "op/F1-gear": 200 / 3,
            "op/score_threshold-gear": 0.35,
            "lrp/oLRP": 80.0,
            "lrp/oLRP-gear": 80.0,
            "lrp/oLRP_loc": 20.0,
            "lrp/oLRP_FP": 0.0,
            "lrp/oLRP_FN": 200 / 3,
            "lrp/score_threshold": 0.8,
            "lrp/score_threshold-gear": 0.8,
        }
    )
    assert points.overall == points.categories["gear"]
    assert [p.score_threshold for p in points.overall.points] == list(SAMPLED)
    assert points.overall.points[14] == OperatingPoint(
        0.7, 50.0, pytest.approx(100 / 3), 40.0, pytest.approx(85.0)
    )
    assert points.overall.points[19] == OperatingPoint(0.95, None, 0.0, 0.0, 100.0)


def test_one_threshold_for_all_and_one_for_each_category():
    """Overall counts are sums over the categories; oLRP is the mean of the categories' own."""
    found = outcomes_of(
        (0.9, 0, 1.0), (0.8, 1, 0.0), (0.7, 1, 0.0), (0.6, 0, 0.0), (0.3, 1, 1.0), objects=(1, 1)
    )
    metrics, points = judge(found, NAMES)
    assert metrics["op/F1-gear"] == 100.0
    assert metrics["op/score_threshold-gear"] == pytest.approx(0.75)
    assert metrics["op/F1-bracket"] == 50.0
    assert metrics["op/score_threshold-bracket"] == pytest.approx(0.15)
    assert metrics["op/F1"] == pytest.approx(200 / 3)
    assert metrics["op/score_threshold"] == pytest.approx(0.85)
    assert metrics["lrp/oLRP"] == pytest.approx((0 + 200 / 3) / 2)
    assert points.overall.points[0].precision == 40.0


def test_equal_scores_are_kept_together():
    """No threshold can part them: neither the best one nor a sampled one counts only half of a tie."""
    found = outcomes_of((0.5, 0, 1.0), (0.5, 0, 0.0), (0.5, 0, 0.0), objects=(1, 0))
    metrics, points = judge(found, NAMES)
    assert (metrics["op/precision"], metrics["op/score_threshold"]) == (pytest.approx(100 / 3), 0.25)
    assert [points.overall.points[k].precision for k in (10, 11)] == [pytest.approx(100 / 3), None]


def test_masks_that_just_reach_the_iou_are_still_right():
    """At IoU 0.5 a right detection is as bad as none to LRP, 100%; F1 counts it."""
    metrics, _ = judge(outcomes_of((0.9, 0, 0.0), (0.8, 0, 0.5), objects=(1, 0)), NAMES)
    assert metrics["lrp/oLRP"] == 100.0
    assert metrics["lrp/oLRP_loc"] == 50.0
    assert metrics["op/F1"] == pytest.approx(200 / 3)


def test_a_model_that_finds_nothing_is_measured_as_such():
    """F1 and recall are 0 and oLRP is 100, with or without wrong detections; a threshold is not told."""
    for found in ((), ((0.9, 0, 0.0),)):
        metrics, points = judge(outcomes_of(*found, objects=(2, 1)), NAMES)
        assert metrics == {
            "op/F1": 0.0,
            "op/recall": 0.0,
            "op/F1-gear": 0.0,
            "op/F1-bracket": 0.0,
            "lrp/oLRP": 100.0,
            "lrp/oLRP-gear": 100.0,
            "lrp/oLRP-bracket": 100.0,
            "lrp/oLRP_FN": 100.0,
        }
        assert (points.overall.best_f1, points.overall.best_lrp) == (None, None)


def test_without_an_object_there_is_nothing_to_measure():
    """Wrong detections alone are no measurement."""
    assert judge(outcomes_of((0.9, 0, 0.0), objects=(0, 0)), NAMES) == ({}, None)


def brute_force(
    truth, detections, k: int | None, threshold: float
) -> tuple[float | None, float, float, float]:
    """Precision, recall, F1 and LRP in % of what is left if all below the threshold is thrown away first."""
    kept = []
    for item in detections:
        above = item.scores >= threshold
        masks = [mask for mask, stays in zip(item.masks, above, strict=True) if stays]
        kept.append(
            type(item)(item.image_id, item.boxes[above], item.scores[above], item.classes[above], masks)
        )
    found = outcomes(truth, kept)
    of = np.ones(len(found.scores), bool) if k is None else found.classes == k
    objects = int(found.objects.sum() if k is None else found.objects[k])
    hits, misses = int((found.right & of).sum()), int((~found.right & of).sum())
    missed = objects - hits
    errors = sum((1 - iou) / 0.5 for iou in found.ious[found.right & of]) + misses + missed
    return (
        hits / (hits + misses) * 100 if hits + misses else None,
        hits / objects * 100,
        200 * hits / (2 * hits + misses + missed),
        errors / (hits + misses + missed) * 100,
    )


@pytest.mark.parametrize("seed", range(4))
def test_every_point_is_that_of_throwing_away_what_lies_below(seed):
    """On random scenes, at each sampled threshold and at the best ones, which no threshold beats."""
    truth, detections = random_scene(seed)
    metrics, points = judge(outcomes(truth, detections), truth.names)
    scores = np.unique(np.concatenate([item.scores for item in detections]))
    curves = [(None, points.overall)] + [(k, points.categories[n]) for k, n in enumerate(truth.names)]
    for k, curve in curves:
        for point in (*curve.points, curve.best_f1, curve.best_lrp):
            expected = brute_force(truth, detections, k, point.score_threshold)
            assert (point.precision, point.recall, point.f1, point.lrp) == pytest.approx(expected)
        each = [brute_force(truth, detections, k, score) for score in scores]
        assert curve.best_f1.f1 == pytest.approx(max(f1 for _, _, f1, _ in each))
        assert curve.best_lrp.lrp == pytest.approx(min(lrp for _, _, _, lrp in each))
    assert metrics["op/F1"] == points.overall.best_f1.f1
    assert metrics["lrp/oLRP"] == pytest.approx(
        np.mean([curve.best_lrp.lrp for curve in points.categories.values()])
    )


def test_detections_are_matched_at_the_iou_that_is_asked_for():
    """The record says which one it was, and LRP is scaled by it."""
    truth = truth_of([(0, (0, 0, 10))])
    detections = detections_of([(0, 0.9, (0, 0, 8))])
    assert judge(outcomes(truth, detections, 0.75), truth.names)[0]["lrp/oLRP"] == pytest.approx(80.0)
    metrics, points = judge(outcomes(truth, detections, 0.85), truth.names)
    assert (metrics["op/F1"], points.iou_threshold) == (0.0, 0.85)
