"""Whatever the rule, the outages and the ticks: each fire time is decided once, and none is left out."""

from itertools import pairwise, takewhile

from hypothesis import given, settings
from hypothesis import strategies as st

from sweeps.schedules.nights import MOST_AT_ONCE, FiringState, Why, fire, settle
from sweeps.schedules.rule import CatchUp, read_rule
from sweeps.schedules.times import due_time, fire_times, next_fire_time

START = 1_774_600_000.0  # two days before the clocks of Berlin are set forward

rules = st.builds(
    lambda cron, zone, jitter, window, catch_up, limit: read_rule(
        {
            "cron": cron,
            "timezone": zone,
            "jitter": jitter,
            "window": window,
            "catch_up": catch_up,
            "catch_up_limit": limit,
        }
    ),
    st.sampled_from(["30 2 * * *", "*/20 2-3 * * *", "0 */3 * * *", "7 * * * *", "0 22 * * 1-5"]),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"]),
    st.sampled_from([None, "1m", "50m"]),
    st.sampled_from([None, "1h", "9h"]),
    st.sampled_from(list(CatchUp)),
    st.integers(1, 5),
)
steps = st.lists(st.sampled_from([1.0, 45.0, 1800.0, 7200.0, 86_400.0, 5 * 86_400.0]), max_size=8)


@settings(max_examples=80, deadline=None)
@given(rules, steps)
def test_each_fire_time_is_decided_once_and_in_order(rule, waits):
    """With a reason where it is missed; and never before its time."""
    now, next_at = START, next_fire_time(rule, START)
    decided = []
    for wait in waits:
        now += wait
        while next_at is not None and (due_time(rule, "nightly", next_at) or 0.0) <= now:
            fired = fire(rule, "nightly", next_at, now)
            assert len(fired.decisions) <= MOST_AT_ONCE
            assert fired.decisions
            decided += fired.decisions
            next_at = fired.next_at
        for each in decided:
            assert (each.reason is None) == (each.state is FiringState.DUE)
            assert due_time(rule, "nightly", each.fire_at) <= now
    times = [each.fire_at for each in decided]
    assert times == list(takewhile(lambda at: next_at is None or at < next_at, fire_times(rule, START)))
    assert all(one < other for one, other in pairwise(times))


@settings(max_examples=80, deadline=None)
@given(rules, st.floats(3600.0, 20 * 86_400.0))
def test_after_one_outage_no_more_is_made_up_than_the_policy_allows(rule, outage_s):
    """Nothing, the last one, or the last few: and what is made up is always the latest of what was missed."""
    next_at, now = next_fire_time(rule, START), START + outage_s
    decided = []
    while next_at is not None and (due_time(rule, "nightly", next_at) or 0.0) <= now:
        fired = fire(rule, "nightly", next_at, now)
        decided += fired.decisions
        next_at = fired.next_at
    late = [each for each in decided if each.why is Why.CATCH_UP]
    made_up = [each for each in late if each.state is FiringState.DUE]
    most = {CatchUp.SKIP: 0, CatchUp.LATEST: 1, CatchUp.ALL: rule.catch_up_limit}[rule.catch_up]
    assert len(made_up) <= most
    assert made_up == late[len(late) - len(made_up) :]
    if rule.catch_up is CatchUp.ALL:
        assert len(made_up) == min(most, len(late))


@settings(max_examples=60, deadline=None)
@given(rules, st.floats(60.0, 20 * 86_400.0))
def test_a_schedule_that_stops_leaves_no_fire_time_undecided(rule, passed_s):
    """All that have come are decided once and in order, whether their jitter has passed or not."""
    next_at, now = next_fire_time(rule, START), START + passed_s
    times = [each.fire_at for each in settle(rule, "nightly", next_at, now)]
    assert times == list(takewhile(lambda at: at <= now, fire_times(rule, START)))
