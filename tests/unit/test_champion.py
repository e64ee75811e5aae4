"""What is decided of a night's best, and the words for it."""

import math

import pytest

from sweeps.core.budget import Goal
from sweeps.core.champion import Comparison, Decision, decide


def comparison(**changes):
    values = {
        "metric": "segm/AP",
        "goal": Goal.MAXIMIZE,
        "candidate": 41.2,
        "champion": 40.1,
        "low": 0.3,
        "high": 1.9,
        "confidence": 0.95,
        "images": 500,
        "candidates": 12,
    }
    return Comparison(**(values | changes))


def test_what_is_better_at_the_confidence_is_promoted():
    """The reason has the values, the difference, its bound, and what they rest on."""
    assert decide(comparison()) == (
        Decision.PROMOTED,
        "segm/AP 41.2 against 40.1: +1.1, at least +0.3 at 95% confidence over 500 images, 12 candidates",
    )


def test_what_is_not_surely_better_is_not():
    """A lead whose bound is not above 0 keeps the champion, and so does no lead."""
    decision, reason = decide(comparison(low=-0.2))
    assert decision is Decision.KEPT
    assert reason.endswith("-0.2 at 95% confidence over 500 images, 12 candidates; not surely better")
    assert decide(comparison(candidate=39.9, low=-1, candidates=1))[1].endswith("1 candidate; not better")
    assert decide(comparison(candidate=40.1, low=0.0, high=0.0))[0] is Decision.KEPT


def test_the_goal_is_respected():
    """Of what is to be low the difference and its upper bound have to be below 0."""
    faster = {"metric": "latency/ms_per_image", "goal": Goal.MINIMIZE, "candidate": 30.0, "champion": 40.0}
    decision, reason = decide(comparison(**faster, low=-12.0, high=-8.0))
    assert (decision, "at most -8 at" in reason) == (Decision.PROMOTED, True)
    assert decide(comparison(**faster, low=-12.0, high=2.0))[0] is Decision.KEPT
    assert decide(comparison(**{**faster, "candidate": 50.0}, low=8.0, high=12.0))[0] is Decision.KEPT


def test_runs_are_told_where_there_are_several():
    """Replicates of either side are in the reason."""
    assert decide(comparison(candidate_runs=3))[1].endswith("12 candidates, 3 against 1 run")
    assert decide(comparison(candidate_runs=1, champion_runs=2))[1].endswith("1 against 2 runs")


@pytest.mark.parametrize("goal", list(Goal))
def test_without_a_bound_nobody_is_promoted(goal):
    """A difference on one image tells nothing."""
    decision, reason = decide(comparison(goal=goal, low=-math.inf, high=math.inf, images=1))
    assert (decision, "cannot be told" in reason) == (Decision.KEPT, True)
