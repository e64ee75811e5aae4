"""Crowded, occluded, touching, merged and split: each on masks drawn for it."""

import numpy as np
import pytest

from runners.evaluation.coco import ground_truth
from runners.evaluation.metrics import evaluate_detections
from tests.evaluation_data import annotation, detections_of

SIZE = (60, 80)


def rectangle(x: int, y: int, width: int, height: int) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[y : y + height, x : x + width] = True
    return mask


def truth_of(*masks: np.ndarray, crowds: tuple[int, ...] = ()):
    """One image with these instances, of two categories in turn."""
    annotations = [
        annotation(number, 1, number % 2 + 1, mask, int(number - 1 in crowds))
        for number, mask in enumerate(masks, 1)
    ]
    return ground_truth(
        {
            "images": [{"id": 1, "height": SIZE[0], "width": SIZE[1]}],
            "annotations": annotations,
            "categories": [{"id": 1, "name": "gear"}, {"id": 2, "name": "washer"}],
        }
    )


def rates(truth, *masks: np.ndarray, scores=None):
    """Merge and split rate of these detections."""
    scores = [0.9] * len(masks) if scores is None else scores
    metrics = evaluate_detections(truth, [detections_of(1, list(masks), scores, [0] * len(masks))])
    return metrics.get("overlap/merge_rate"), metrics.get("overlap/split_rate")


def test_crowded_is_a_box_iou_above_a_half():
    """Two of 20 px whose boxes share 14 px have IoU 0.54; those that share 13 have 0.48."""
    truth = truth_of(rectangle(0, 0, 20, 10), rectangle(6, 0, 20, 10), rectangle(13, 30, 20, 10))
    assert truth.overlaps.crowded.tolist() == [True, True, False]
    assert not truth_of(rectangle(0, 0, 20, 10), rectangle(7, 0, 20, 10)).overlaps.crowded.any()


def test_occluded_is_more_than_a_tenth_of_the_box_under_other_masks():
    """What a neighbour covers of the box counts, where the instance itself is not; it is not mutual."""
    ring = rectangle(0, 0, 20, 20) & ~rectangle(13, 13, 7, 7)
    truth = truth_of(ring, rectangle(13, 13, 7, 7), rectangle(60, 40, 5, 5))
    assert truth.overlaps.occluded.tolist() == [True, False, False]
    less = rectangle(0, 0, 20, 20) & ~rectangle(14, 14, 6, 6)
    assert truth_of(less, rectangle(14, 14, 6, 6)).overlaps.occluded.tolist() == [False, False]


def test_crowd_regions_crowd_nobody():
    """A region of many is no neighbour, and is neither crowded nor occluded itself."""
    truth = truth_of(rectangle(0, 0, 20, 10), rectangle(2, 0, 20, 10), crowds=(1,))
    assert not truth.overlaps.crowded.any()
    assert not truth.overlaps.occluded.any()
    assert truth.touching == {}


def test_only_overlapping_instances_count():
    """Finding the free object is no merit, missing it no fault; a false detection is one in every slice."""
    pair = rectangle(0, 0, 20, 10), rectangle(6, 0, 20, 10)
    free = rectangle(50, 30, 12, 12)
    truth = truth_of(*pair, free)
    alone = [detections_of(1, [*pair], [0.9, 0.8], [1, 0])]
    with_free = [detections_of(1, [*pair, free], [0.9, 0.8, 0.95], [1, 0, 1])]
    assert evaluate_detections(truth, alone)["overlap/AP_crowded"] == pytest.approx(100)
    assert evaluate_detections(truth, with_free)["overlap/AP"] == pytest.approx(100)
    wrong = [detections_of(1, [*pair, rectangle(50, 0, 9, 9)], [0.9, 0.8, 0.95], [1, 0, 1])]
    assert evaluate_detections(truth, wrong)["overlap/AP"] == pytest.approx(75)
    counts = evaluate_detections(truth, alone)
    assert [counts[f"count/gt_{name}"] for name in ("crowded", "occluded", "touching_pairs")] == [2, 0, 0]


def test_without_overlaps_there_is_no_number():
    """One object alone: no slice, no pair, and no rate of merges."""
    metrics = evaluate_detections(truth_of(rectangle(0, 0, 9, 9)), [detections_of(1, [], [], [])])
    assert {name for name in metrics if name.startswith("overlap/")} == {"overlap/split_rate"}


@pytest.mark.parametrize(("gap", "touching"), [(0, True), (1, True), (2, False)])
@pytest.mark.parametrize("direction", ["right", "below", "diagonal"])
def test_touching_is_at_most_one_pixel_between(gap, touching, direction):
    """To all eight sides, at the edge of the image too."""
    x, y = {"right": (10 + gap, 0), "below": (0, 10 + gap), "diagonal": (10 + gap, 10 + gap)}[direction]
    truth = truth_of(rectangle(0, 0, 10, 10), rectangle(x, y, 10, 10))
    assert bool(truth.touching) == touching


def test_a_part_upon_its_whole_is_no_touching_pair():
    """A perfect mask of the whole covers both: that is no merge."""
    assert truth_of(rectangle(0, 0, 30, 30), rectangle(5, 5, 5, 5)).touching == {}


LEFT, RIGHT, FAR = rectangle(0, 0, 20, 20), rectangle(20, 0, 20, 20), rectangle(60, 40, 10, 10)


@pytest.mark.parametrize(
    ("masks", "merged"),
    [
        ((LEFT, RIGHT), 0),
        ((LEFT | RIGHT,), 100),
        ((LEFT, RIGHT, LEFT | RIGHT), 100),
        ((rectangle(0, 0, 30, 20),), 100),  # half of the right one
        ((rectangle(0, 0, 29, 20),), 0),
        ((LEFT | FAR,), 0),
        ((), 0),
    ],
)
def test_a_merge_is_one_mask_over_both_halves_of_a_touching_pair(masks, merged):
    """Half of each has to be covered; objects apart from each other make no pair."""
    assert rates(truth_of(LEFT, RIGHT, FAR), *masks)[0] == merged


def test_detections_of_low_score_merge_nothing():
    """What would not be shown is left out."""
    assert rates(truth_of(LEFT, RIGHT), LEFT | RIGHT, scores=[0.49]) == (0, 0)
    assert rates(truth_of(LEFT, RIGHT), LEFT | RIGHT, scores=[0.5]) == (100, 0)


WHOLE = rectangle(0, 0, 40, 20)
A, B = rectangle(0, 0, 18, 20), rectangle(20, 0, 18, 20)


@pytest.mark.parametrize(
    ("masks", "split"),
    [
        ((WHOLE,), 0),
        ((A, B), 100),
        ((A,), 0),
        ((A, A), 0),  # the same fragment twice makes up no half
        ((A, B, rectangle(0, 0, 36, 20)), 0),  # found as a whole beside
        ((rectangle(0, 0, 9, 20), rectangle(30, 0, 9, 20)), 0),  # less than half together
        ((A, rectangle(20, 0, 18, 60)), 0),  # most of the second lies elsewhere
    ],
)
def test_a_split_is_an_object_in_fragments_and_not_found_whole(masks, split):
    """At least two that lie in it, none half of it, together at least half."""
    assert rates(truth_of(WHOLE), *masks)[1] == split


def test_rates_are_shares_of_all_pairs_and_all_instances():
    """One merged pair of two, and one split object of five."""
    row = [rectangle(x, 0, 10, 10) for x in (0, 10, 30, 40)]
    whole = rectangle(0, 30, 40, 20)
    merged, split = rates(
        truth_of(*row, whole), row[0] | row[1], rectangle(0, 30, 18, 20), rectangle(20, 30, 18, 20)
    )
    assert (merged, split) == (50, 20)
