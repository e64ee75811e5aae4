from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeps.core.budget import Goal
from sweeps.core.ranking import front, leader, leaderboard, violation
from sweeps.core.states import TrialState

AP = (("segm/AP", Goal.MAXIMIZE),)
AP_AND_TIME = (*AP, ("latency/ms_per_image", Goal.MINIMIZE))


@dataclass(frozen=True)
class Entry:
    number: int
    ap: float | None = None
    ms: float = 50.0
    measured_iteration: int = 300
    state: TrialState = TrialState.COMPLETED
    metrics: Mapping[str, float] = field(init=False)

    def __post_init__(self):
        metrics = {} if self.ap is None else {"segm/AP": self.ap, "latency/ms_per_image": self.ms}
        object.__setattr__(self, "metrics", metrics)


def numbers(trials):
    return [trial.number for trial in trials]


def test_the_best_objective_comes_first():
    """Trials at the same standing are ordered by the objective, in the direction of its goal."""
    trials = [Entry(0, 30.0), Entry(1, 50.0), Entry(2, 40.0)]
    assert numbers(leaderboard(trials, AP)) == [1, 2, 0]
    assert numbers(leaderboard(trials, (("segm/AP", Goal.MINIMIZE),))) == [0, 2, 1]


def test_a_lucky_value_at_a_low_rung_beats_nobody_who_finished():
    """COMPLETED comes before PRUNED, whatever the values."""
    trials = [Entry(0, 60.0, measured_iteration=75, state=TrialState.PRUNED), Entry(1, 20.0)]
    assert numbers(leaderboard(trials, AP)) == [1, 0]


def test_a_better_value_leads_until_a_better_one_comes():
    """Who reached the next rung first does not matter among trials that are not given up."""
    ahead = Entry(0, 5.0, measured_iteration=150, state=TrialState.RUNNING)
    behind = Entry(1, 40.0, measured_iteration=75, state=TrialState.RUNNING)
    done = Entry(2, 6.0)
    cancelled = Entry(3, 30.0, measured_iteration=75, state=TrialState.CANCELLED)
    assert numbers(leaderboard([ahead, behind, done, cancelled], AP)) == [1, 3, 2, 0]


def test_pruned_trials_are_ordered_by_value():
    """Where nothing finished, the best model is the one with the best value, however long it trained."""
    trials = [
        Entry(0, 5.0, measured_iteration=150, state=TrialState.PRUNED),
        Entry(1, 40.0, measured_iteration=75, state=TrialState.PRUNED),
    ]
    assert numbers(leaderboard(trials, AP)) == [1, 0]


def test_an_infeasible_trial_has_no_place():
    """What diverged after a good rung is no model to take, even where nothing else was measured."""
    trials = [Entry(0, 60.0, state=TrialState.INFEASIBLE), Entry(1, 20.0, state=TrialState.PRUNED)]
    assert numbers(leaderboard(trials, AP)) == [1]
    assert leader(trials[:1], AP) is None


def test_what_was_not_measured_is_not_ranked():
    """A trial without the objective has no place."""
    assert numbers(leaderboard([Entry(0), Entry(1, 10.0)], AP)) == [1]
    assert leader([Entry(0)], AP) is None


def test_a_broken_constraint_comes_after_a_kept_one():
    """A slower model that breaks the latency bound is behind a worse one that keeps it."""
    trials = [Entry(0, 60.0, ms=90.0), Entry(1, 20.0, ms=70.0)]
    assert numbers(leaderboard(trials, AP, [("latency/ms_per_image", None, 80.0)])) == [1, 0]


def test_an_unmeasured_constraint_counts_as_broken():
    """What was not measured cannot be taken as kept."""
    assert violation({}, [("latency/ms_per_image", None, 80.0)]) == float("inf")


def test_constraints_in_different_units_weigh_alike():
    """A tenth too slow is nearer to what was asked for than twice too large, and no unit hides the other."""
    bounds = [("latency/ms_per_image", None, 80.0), ("model/parameters", None, 40e6)]
    assert violation({"latency/ms_per_image": 88.0, "model/parameters": 40e6}, bounds) == pytest.approx(0.1)
    assert violation({"latency/ms_per_image": 60.0, "model/parameters": 80e6}, bounds) == pytest.approx(1.0)
    assert violation({"op/F1": 0.25}, [("op/F1", 0.5, None)]) == pytest.approx(0.5)
    assert violation({"op/F1": 0.25}, [("op/F1", None, 0.0)]) == pytest.approx(0.25)


def test_the_front_is_what_nothing_dominates_among_the_feasible():
    """What breaks a bound, was pruned or is infeasible is not on it, however good it is."""
    trials = [
        Entry(0, 40.0, ms=60.0),
        Entry(1, 50.0, ms=70.0),
        Entry(2, 39.0, ms=65.0),  # dominated
        Entry(3, 60.0, ms=90.0),  # breaks the bound
        Entry(4, 70.0, ms=50.0, state=TrialState.PRUNED),
        Entry(5, 70.0, ms=50.0, state=TrialState.INFEASIBLE),
        Entry(6, 50.0, ms=70.0),  # as good as another
    ]
    bounds = [("latency/ms_per_image", None, 80.0)]
    assert numbers(front(trials, AP_AND_TIME, bounds)) == [1, 6, 0]
    assert numbers(front(trials, AP, bounds)) == [1, 6]
    assert front(trials[3:6], AP_AND_TIME, bounds) == []


def test_of_two_objectives_the_dominated_trial_comes_last():
    """Trials that nothing dominates come first, ordered by the first objective."""
    trials = [Entry(0, 40.0, ms=60.0), Entry(1, 50.0, ms=70.0), Entry(2, 39.0, ms=65.0)]
    assert numbers(leaderboard(trials, AP_AND_TIME)) == [1, 0, 2]


@given(
    st.lists(
        st.tuples(
            st.sampled_from([10.0, 20.0, 30.0, None]),
            st.sampled_from([10.0, 60.0, 90.0]),
            st.sampled_from([75, 300]),
            st.sampled_from(
                [TrialState.COMPLETED, TrialState.PRUNED, TrialState.RUNNING, TrialState.INFEASIBLE]
            ),
        ),
        max_size=8,
    ),
    st.sampled_from([AP, AP_AND_TIME]),
)
def test_the_leader_is_the_first_of_the_leaderboard(rows, objectives):
    """The one-pass leader and the full order never disagree."""
    trials = [Entry(n, ap, ms, iteration, state) for n, (ap, ms, iteration, state) in enumerate(rows)]
    bounds = [("latency/ms_per_image", None, 80.0)]
    first = (*leaderboard(trials, objectives, bounds), None)[0]
    assert leader(trials, objectives, bounds) == first
