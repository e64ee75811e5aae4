"""Which ended trials keep their last checkpoint."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeps.core.budget import Goal
from sweeps.core.keeping import FRONT_PLACES, best_of, places_of
from sweeps.core.ranking import front, leaderboard
from sweeps.core.states import TrialState
from sweeps.records import TrialRecord
from sweeps.testing import make_spec

ONE = [("segm/AP", Goal.MAXIMIZE)]
TWO = [*ONE, ("latency/ms_per_image", Goal.MINIMIZE)]
BOUNDS = [("latency/ms_per_image", None, 50.0)]


def row(number, ap, ms=10.0, state=TrialState.COMPLETED):
    metrics = {} if ap is None else {"segm/AP": ap, "latency/ms_per_image": ms}
    return TrialRecord(
        number, state, None, {}, 0, 1, 0, 300, None, 0, 1.0, 0.0, 1.0, {}, metrics, 300 * bool(metrics), None
    )


def numbers(trials):
    return [trial.number for trial in trials]


def test_with_one_objective_the_best_are_kept():
    """In order; those that were given up come after those that finished, and what has no value never."""
    trials = [row(0, 30.0), row(1, 40.0, state=TrialState.PRUNED), row(2, None), row(3, 35.0), row(4, 20.0)]
    assert numbers(best_of(trials, ONE, (), 1)) == [3]
    assert numbers(best_of(trials, ONE, (), 3)) == [3, 0, 4]
    assert numbers(best_of(trials, ONE, (), 9)) == [3, 0, 4, 1]
    assert best_of([], ONE, (), 3) == []


def test_with_several_the_front_is_kept_as_far_as_there_are_places():
    """Or the leader, where no trial keeps the constraints."""
    trials = [row(0, 30.0, 10.0), row(1, 40.0, 20.0), row(2, 35.0, 30.0), row(3, 45.0, 60.0)]
    assert numbers(best_of(trials, TWO, (), 8)) == [3, 1, 0]
    assert numbers(best_of(trials, TWO, (), 2)) == [3, 1]
    assert numbers(best_of(trials, TWO, BOUNDS, 8)) == [1, 0]
    assert numbers(best_of(trials[3:], TWO, BOUNDS, 8)) == [3]


@pytest.mark.parametrize(
    ("objectives", "finalists", "places"), [(1, None, 1), (2, None, FRONT_PLACES), (1, 5, 5), (2, 3, 3)]
)
def test_a_spec_says_how_many(objectives, finalists, places):
    """By default one, and some more with several objectives."""
    metrics = [{"metric": "segm/AP"}, {"metric": "latency/ms_per_image"}][:objectives]
    chosen = {} if finalists is None else {"checkpoints": {"finalists": finalists}}
    assert places_of(make_spec(objectives=metrics, **chosen)) == places


VALUES = st.integers(0, 4).map(float)
ENDED = st.lists(
    st.tuples(VALUES, VALUES, st.sampled_from([TrialState.COMPLETED, TrialState.PRUNED])), max_size=12
)


@given(ENDED, st.integers(1, 4))
def test_the_best_so_far_are_those_of_all(ended, places):
    """Looking at each trial once, as it ends, gives what ranking all of them gives."""
    trials = [row(number, ap, ms, state) for number, (ap, ms, state) in enumerate(ended)]
    bounds = [("latency/ms_per_image", None, 3.0)]
    assert best_of(trials, ONE, bounds, places) == leaderboard(trials, ONE, bounds)[:places]
    expected = front(trials, TWO, bounds)[:places] or leaderboard(trials, TWO, bounds)[:1]
    assert best_of(trials, TWO, bounds, places) == expected
