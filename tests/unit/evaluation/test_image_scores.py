"""A score of each image, from the outcomes of its detections."""

import numpy as np
import pytest

from runners.evaluation.image_scores import image_scores
from runners.evaluation.judge import judge
from runners.evaluation.outcomes import outcomes
from tests.unit.evaluation.scenes import detections_of, random_scene, truth_of


def scores_of(truth, detections, threshold=0.5, iou=0.5):
    found = image_scores(outcomes(truth, detections, iou), threshold)
    return dict(zip(found.image_ids, found.scores, strict=True))


def test_a_case_worked_out_by_hand():
    """Image 1: one object at IoU 0.8, one missed, one wrong detection: 100 (0.8 - 0.5) / 0.5 / 3 = 20."""
    truth = truth_of([(0, (0, 0, 10)), (0, (5, 0, 10))], [(1, (0, 0, 10))])
    detections = detections_of([(0, 0.9, (0, 0, 8)), (0, 0.8, (9, 0, 8))], [(1, 0.9, (0, 0, 10))])
    assert scores_of(truth, detections) == {1: 20.0, 2: 100.0}


def test_images_without_objects_are_perfect_as_long_as_nothing_is_found():
    """Nothing there and nothing found is right; whatever is found there is wrong, unless the score is low."""
    truth = truth_of([(0, (0, 0, 10))], [], [])
    detections = detections_of([], [(0, 0.9, (0, 0, 5))], [(0, 0.1, (0, 0, 5))])
    assert scores_of(truth, detections) == {1: 0.0, 2: 0.0, 3: 100.0}


def test_a_crowd_counts_neither_way():
    """An image of a crowd alone is like one without objects, with detections in it or without."""
    truth = truth_of([(0, (0, 0, 20), "crowd")])
    assert scores_of(truth, detections_of([(0, 0.9, (0, 0, 5))])) == {1: 100.0}
    assert scores_of(truth, detections_of([(0, 0.9, (9, 0, 5))])) == {1: 0.0}


def test_where_nothing_is_right_nothing_is_kept():
    """Without a threshold that is better than none, images with objects have 0 and the others 100."""
    truth = truth_of([(0, (0, 0, 10))], [])
    detections = detections_of([(1, 0.9, (9, 0, 5))], [(1, 0.9, (9, 0, 5))])
    assert scores_of(truth, detections, None) == {1: 0.0, 2: 100.0}
    assert image_scores(outcomes(truth_of(), []), None) is None


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("iou", [0.5, 0.75])
def test_images_add_up_to_the_error_of_the_data_set(seed, iou):
    """Weighted by how much there is in each image, the scores' mean is 100 - LRP over everything."""
    truth, detections = random_scene(seed)
    metrics, details = judge(truth, detections, iou_threshold=iou)
    best = details.operating_points.overall.best_lrp
    if best is None:
        return
    assert best.score_threshold == metrics["lrp/score_threshold"]
    found = outcomes(truth, detections, iou)
    kept = found.scores.astype(np.float64) >= best.score_threshold
    images = len(found.image_ids)
    weights = np.bincount(found.images[kept & ~found.right], minlength=images) + found.image_objects
    assert np.average(details.images.scores, weights=weights) == pytest.approx(100 - best.lrp, abs=1e-3)
    assert details.images.image_ids == tuple(item.image_id for item in detections)
