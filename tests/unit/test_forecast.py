"""What trials are expected to come to, and which of them are good for that."""

import math
import random

import pytest

from sweeps.core.states import TrialState
from sweeps.samplers.forecast import forecasts
from sweeps.samplers.lessons import End, Lesson, Lessons
from sweeps.samplers.order import promising
from sweeps.testing import make_spec


def lesson(number, *scores, end=End.CUT, excess=()):
    rungs = {rung: (float(score),) for rung, score in enumerate(scores)}
    return Lesson(number, {}, {}, end, rungs, rungs.get(2, ()), excess)


def grown(count, *, noise=0.0, seed=0):
    """Trials that double from the first rung to the second, and gain 5 from there to the last."""
    rng = random.Random(seed)
    for number in range(count):
        first = 10 + number
        second = 2 * first + rng.gauss(0, noise)
        yield lesson(number, first, second, second + 5, end=End.WHOLE)


def test_a_trial_is_expected_to_grow_as_others_did():
    """Rung by rung along the line that fits, from its last rung; what came to the end is what it is."""
    trials = [*grown(30), lesson(30, 50.0), lesson(31, 45.0, 90.0), lesson(32, 7.0, end=End.OPEN)]
    got = forecasts(trials, 3, 1)
    assert got[29] == (83.0,)
    assert got[30][0] == pytest.approx(105.0, abs=4)  # the slope is drawn towards 1 a little
    assert got[31][0] == pytest.approx(95.0, abs=0.5)
    assert got[32][0] == pytest.approx(19.0, abs=4)


def test_a_forecast_is_lowered_by_what_is_not_known():
    """Where an early score says little, a good one is worth less than at the end."""
    sure = forecasts([*grown(60), lesson(60, 40.0)], 3, 1)[60][0]
    unsure = forecasts([*grown(60, noise=6.0), lesson(60, 40.0)], 3, 1)[60][0]
    assert sure - 9 < unsure < sure - 3


def test_without_trials_that_went_on_scores_stay_what_they_are():
    """With a few, they gain what those gained in the median; what says nothing has no forecast."""
    alone = [lesson(0, 3.0), lesson(1, end=End.BAD), lesson(2, 4.0, end=End.LOST), lesson(3, end=End.OPEN)]
    assert forecasts(alone, 3, 1) == {0: (3.0,)}
    few = [*grown(3), lesson(3, 10.0)]
    assert forecasts(few, 3, 1)[3] == (10 + 11 + 5,)


def test_the_best_weigh_most():
    """By how much more is expected than of the best that is not good; on average 1."""
    trials = [lesson(number, 0, 0, value, end=End.WHOLE) for number, value in enumerate((1, 9, 5, 4, 3))]
    weights = promising(trials, forecasts(trials, 3, 1), 2)
    assert weights == {1: pytest.approx(1.0 * 2 * 5 / 6, rel=1e-3), 2: pytest.approx(2 / 6, rel=1e-3)}


def test_equals_weigh_the_same():
    """A plateau has no best."""
    trials = [lesson(number, 0, 0, 7, end=End.WHOLE) for number in range(5)]
    assert set(promising(trials, forecasts(trials, 3, 1), 2).values()) == {1.0}


def test_what_breaks_constraints_or_cannot_be_trained_comes_last():
    """Where too few are sound, the least broken are good as well; all weigh the same then."""
    trials = [
        lesson(0, end=End.BAD),
        lesson(1, 0, 0, 9, end=End.WHOLE, excess=(2.0,)),
        lesson(2, 0, 0, 8, end=End.WHOLE, excess=(0.5,)),
        lesson(3, 0, 0, 1, end=End.WHOLE, excess=(-1.0,)),
    ]
    expected = forecasts(trials, 3, 1)
    assert promising(trials, expected, 1) == {3: 1.0}
    assert promising(trials, expected, 2) == {3: 1.0, 2: 1.0}
    assert list(promising(trials, expected, 4)) == [3, 2, 1, 0]


def test_open_trials_are_learnt_from_once_they_are_measured():
    """With the constraints as they were at that rung; a failed one says nothing any more."""
    lessons = Lessons(make_spec(constraints=[{"metric": "latency/ms_per_image", "max": 50}]))
    for _ in range(3):
        lessons.begin({}, {})
    assert lessons.measured() == []
    lessons.measure(1, 75, {"segm/AP": 10.0, "latency/ms_per_image": 100.0})
    lessons.measure(2, 75, {"segm/AP": 11.0, "latency/ms_per_image": 40.0})
    assert [each.number for each in lessons.measured()] == [1, 2]
    assert lessons[1].violation > 0 == lessons[2].violation
    lessons.finish(2, TrialState.FAILED, {"segm/AP": 11.0})
    lessons.finish(0, TrialState.INFEASIBLE, {})
    assert [each.number for each in lessons.measured()] == [0, 1]
    assert lessons[0].violation == math.inf


def test_of_several_objectives_the_lonely_weigh_most():
    """What adds most to the hypervolume of the good ones; every good one weighs something."""
    points = [(0.0, 10.0), (5.0, 5.1), (5.1, 5.0), (10.0, 0.0), (1.0, 1.0)]
    trials = [Lesson(number, {}, {}, End.WHOLE, {2: point}, point, ()) for number, point in enumerate(points)]
    weights = promising(trials, forecasts(trials, 3, 2), 4)
    assert set(weights) == {0, 1, 2, 3}
    assert min(weights[0], weights[3]) > 2 * weights[1] > 0.5
