"""Halving of several objectives once there is a front: by what trials are expected to add to it."""

import random

from sweeps.core.states import TrialState
from sweeps.pruning.front_rule import STARTUP, FrontRule
from sweeps.pruning.rules import Reading
from sweeps.testing import make_spec

NAMES = ("segm/AP", "latency/ms_per_image")
SPEC = make_spec(
    objectives=[{"metric": name} for name in NAMES], constraints=[{"metric": "memory/peak_mb", "max": 100}]
)
FRONT = [(20, 20), (30, 30), (40, 40), (50, 50), (60, 60)]  # AP and ms at the last rung


def told(rule, number, rung, ap, ms, *, mb=50):
    rule.take(Reading(number, rung, {"segm/AP": ap, "latency/ms_per_image": ms, "memory/peak_mb": mb}))


def with_front(points=FRONT):
    """Every trial gains 10 AP from rung to rung, and keeps its latency."""
    rule = FrontRule(SPEC)
    for number, (ap, ms) in enumerate(points):
        for rung in range(3):
            told(rule, number, rung, ap - 10 * (2 - rung), ms)
        rule.end(number, TrialState.COMPLETED, {})
    return rule


def test_what_would_come_beyond_the_front_goes_on():
    """Far beyond it, at a place where it has a gap, and at its ends."""
    for place, (ap, ms) in enumerate([(45, 40), (26, 31), (41, 61), (-15, 19)]):
        rule = with_front()
        told(rule, 5, 0, ap, ms)
        assert rule.against(5, 0) is None, place


def test_what_would_come_behind_the_front_stops():
    """Though nobody was as good at that rung and speed: the front has better."""
    rule = with_front()
    told(rule, 5, 0, 25, 55)  # comes to 45, where 50 at 50 ms is known
    assert rule.against(5, 0) == "not expected to come beyond the front of the 5 that completed"


def test_of_those_that_come_beyond_it_the_best_third_pass():
    """Each adds something; most is added by the first."""
    rule = with_front()
    for number, ap in enumerate((60, 50, 36, 34), 5):
        told(rule, number, 0, ap, 45)
    answers = [rule.against(number, 0) for number in range(5, 9)]
    assert answers[:2] == [None, None]
    assert answers[3] == "not expected to add as much to the front as the best 3 of 9 there"


def test_before_there_is_a_front_and_beside_the_constraints_ranks_decide():
    """As for whom a metric was not measured."""
    rule = with_front(FRONT[: STARTUP - 1])
    told(rule, 5, 0, 1, 70)
    assert rule.against(5, 0) == "not among the best 1 of 5 there"
    rule = with_front()
    told(rule, 5, 0, 90, 10, mb=101)
    assert rule.against(5, 0) == "not among the best 2 of 6 there"
    rule.take(Reading(6, 0, {"segm/AP": 1.0}))
    assert rule.against(6, 0) is None


def test_no_order_of_readings_changes_an_answer():
    """A driver that starts again reads the rows in another order than they came in."""
    chance = random.Random(1)
    readings = []
    for number in range(80):
        ap, ms = chance.uniform(10, 60), chance.uniform(10, 60)
        for rung in range(chance.choice([1, 1, 2, 3])):
            readings.append((number, rung, ap * (1 + rung) / 3 + chance.gauss(0, 2), ms))
    answers = set()
    for _ in range(3):
        rule = FrontRule(SPEC)
        for number, rung, ap, ms in readings:
            told(rule, number, rung, ap, ms)
        answers.add(tuple(rule.against(number, rung) for number, rung, *_ in sorted(readings) if rung < 2))
        chance.shuffle(readings)
    assert len(answers) == 1
    assert 20 < sum(each is None for each in answers.pop()) < 80
