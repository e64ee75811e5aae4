"""When a search counts as standing still."""

from dataclasses import dataclass, field

import pytest

from sweeps.core.budget import Goal
from sweeps.core.improvement import Improvement
from sweeps.core.states import TrialState

AP, MS = ("segm/AP", Goal.MAXIMIZE), ("latency/ms_per_image", Goal.MINIMIZE)
DONE, PRUNED = TrialState.COMPLETED, TrialState.PRUNED


@dataclass
class Ended:
    number: int
    metrics: dict[str, float]
    state: TrialState = DONE
    measured_iteration: int = field(default=300)


def after(*trials, objectives=(AP,), bounds=()):
    """What is known after these trials have ended, each (ap, ms, state) with the rest left out."""
    found = Improvement(objectives, bounds)
    for number, (ap, *more) in enumerate(trials):
        ms = more[0] if more else 10.0
        metrics = {"latency/ms_per_image": ms} | ({} if ap is None else {"segm/AP": ap})
        found.end(Ended(number, metrics, more[1] if more[1:] else DONE))
    return found


@pytest.mark.parametrize(
    ("trials", "since", "last"),
    [
        ([], 0, None),
        ([(10.0,)], 0, 0),
        ([(10.0,), (9.0,), (10.0,)], 2, 0),  # as good is not better
        ([(10.0,), (9.0,), (11.0,)], 0, 2),
        ([(10.0,), (9.0, 10.0, PRUNED)], 1, 0),
        ([(10.0, 10.0, PRUNED), (9.0,)], 0, 1),  # what was pruned leads nobody who completed
        ([(10.0,), (99.0, 10.0, PRUNED)], 1, 0),
        ([(10.0,), (None,)], 1, 0),
        ([(None,), (None, 10.0, PRUNED)], 0, None),  # before anything is measured nothing counts
    ],
)
def test_trials_since_the_best_are_counted(trials, since, last):
    """COMPLETED and PRUNED trials count, from the trial on that took the lead when it ended."""
    found = after(*trials)
    assert (found.since, found.last) == (since, last)


@pytest.mark.parametrize("state", [TrialState.FAILED, TrialState.INFEASIBLE, TrialState.CANCELLED])
def test_what_could_not_be_judged_does_not_count(state):
    """Trouble, and a corner that does not build, say nothing about how far the search is."""
    assert after((10.0,), (99.0, 10.0, state), (99.0, 10.0, state)).since == 0


@pytest.mark.parametrize(
    ("trials", "since", "last"),
    [
        ([(10.0, 50.0), (5.0, 20.0)], 0, 1),  # faster: it joins the front
        ([(10.0, 50.0), (5.0, 60.0)], 1, 0),
        ([(10.0, 50.0), (5.0, 20.0), (11.0, 10.0), (5.0, 20.0)], 1, 2),
        ([(10.0, 50.0), (10.0, 50.0)], 1, 0),
    ],
)
def test_with_several_objectives_the_front_counts(trials, since, last):
    """What no earlier trial equals or dominates is news."""
    found = after(*trials, objectives=(AP, MS))
    assert (found.since, found.last) == (since, last)


def test_coming_nearer_to_the_constraints_is_an_improvement():
    """A trial that breaks them less leads; among those that keep them the value counts."""
    bounds = [("latency/ms_per_image", None, 40.0)]
    found = after((10.0, 90.0), (5.0, 60.0), (1.0, 30.0), (9.0, 90.0), bounds=bounds)
    assert (found.since, found.last) == (1, 2)


def test_the_reason_names_the_best():
    """The limit and the trial that is still the best, or the last that joined the front."""
    assert after((10.0,), (9.0,)).stalled(2) is None
    assert after((10.0,), (9.0,)).stalled(None) is None
    assert after((10.0,), (9.0,), (8.0,)).stalled(2) == (
        "no improvement over 2 trials: the best is still trial 0"
    )
    assert after((10.0, 1.0), (9.0, 2.0), objectives=(AP, MS)).stalled(1) == (
        "no improvement over 1 trial: the last to join the front is trial 0"
    )
