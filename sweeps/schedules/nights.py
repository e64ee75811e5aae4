"""Nights: their states, and which of those whose time has come take place."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import chain, takewhile
from typing import assert_never
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sweeps.schedules.rule import CatchUp, Rule
from sweeps.schedules.times import due_time, fire_times, window_closes

GRACE_S = 60.0
"""Seconds by which a firing may be late and still count as on time: a service is restarted faster."""

MOST_AT_ONCE = 1000
"""Fire times of one schedule that are decided in one transaction; after a long outage there are several."""


class ScheduleState(StrEnum):
    """Whether a schedule fires."""

    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    REMOVED = "REMOVED"


class FiringState(StrEnum):
    """How a night stands."""

    DUE = "DUE"  # it takes place; nobody has begun it
    QUEUED = "QUEUED"  # it waits for another night of its schedule
    RUNNING = "RUNNING"
    CLOSED = "CLOSED"
    SKIPPED = "SKIPPED"
    MISSED = "MISSED"
    FAILED = "FAILED"  # its sweep could not be created


OPEN = (FiringState.DUE, FiringState.QUEUED)
"""A night in one of them waits to be begun."""

FIRING_TRANSITIONS: dict[FiringState, frozenset[FiringState]] = {
    FiringState.DUE: frozenset(
        {
            FiringState.QUEUED,
            FiringState.RUNNING,
            FiringState.SKIPPED,
            FiringState.MISSED,
            FiringState.FAILED,
        }
    ),
    FiringState.QUEUED: frozenset(
        {FiringState.RUNNING, FiringState.SKIPPED, FiringState.MISSED, FiringState.FAILED}
    ),
    FiringState.RUNNING: frozenset({FiringState.CLOSED}),
    FiringState.CLOSED: frozenset(),
    # a night that did not take place may be asked for again
    FiringState.SKIPPED: frozenset({FiringState.DUE}),
    FiringState.MISSED: frozenset({FiringState.DUE}),
    FiringState.FAILED: frozenset({FiringState.DUE}),
}


class Why(StrEnum):
    """What made a night."""

    TIME = "time"
    CATCH_UP = "catch-up"
    BACKFILL = "backfill"


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a fire time.

    Attributes:
        fire_at: As the rule says it, in seconds since the Unix epoch.
        state: DUE or MISSED.
        why: What made the night.
        reason: Why it is MISSED, or None.
    """

    fire_at: float
    state: FiringState
    why: Why
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Fired:
    """What becomes of a schedule whose time has come.

    Attributes:
        decisions: Ascending by fire time.
        next_at: The next fire time to decide, or None; it may have passed as well.
    """

    decisions: tuple[Decision, ...]
    next_at: float | None


def fire(rule: Rule, name: str, next_at: float, now: float) -> Fired:
    """Decides the fire times from `next_at` on that have come, as far as one transaction takes them.

    Args:
        rule: Of the schedule.
        name: Of the schedule.
        next_at: The first that is not decided, in seconds since the Unix epoch,
        now: as this.
    """

    def has_come(fire_at: float) -> bool:
        return (due_time(rule, name, fire_at) or 0.0) <= now

    come: list[float] = []
    for at in takewhile(has_come, chain([next_at], fire_times(rule, next_at))):
        come.append(at)
        if len(come) > MOST_AT_ONCE:
            break
    made_up = _made_up(rule)
    if len(come) > MOST_AT_ONCE:  # some of these may still be among the last ones: they are left for later
        kept = len(come) - made_up - 1
        missed = tuple(_missed(rule, at) for at in come[:kept])
        return Fired(missed, come[kept])
    late = list(takewhile(lambda at: at + (rule.jitter_s or 0.0) + GRACE_S < now, come))
    decisions = [*_late(rule, late, now, others=len(come) > len(late))]
    decisions += [Decision(at, FiringState.DUE, Why.TIME) for at in come[len(late) :]]
    last = come[-1] if come else None
    return Fired(tuple(decisions), next(fire_times(rule, last), None) if last is not None else next_at)


def settle(rule: Rule, name: str, next_at: float, now: float) -> list[Decision]:
    """Decides all fire times from `next_at` on that have come: their schedule fires no more from now on.

    Those whose jitter has not passed are among them: they are DUE. Arguments as for `fire`.
    """
    decisions: list[Decision] = []
    at: float | None = next_at
    while at is not None:
        fired = fire(rule, name, at, now)
        at = fired.next_at
        if not fired.decisions:
            break
        decisions += fired.decisions
    if at is not None:
        come = takewhile(lambda each: each <= now, chain([at], fire_times(rule, at)))
        decisions += [Decision(each, FiringState.DUE, Why.TIME) for each in come]
    return decisions


def window_end(rule: Rule, why: Why, fire_at: float, now: float) -> float | None:
    """When a night that begins now has to pause, in seconds since the Unix epoch; None: never.

    A night that is made up by `all`, or by a backfill, has its whole window before it.
    """
    if rule.window_s is not None and has_whole_window(rule, why):
        return now + rule.window_s
    return window_closes(rule, fire_at)


def has_whole_window(rule: Rule, why: Why) -> bool:
    """Whether a night's window counts from when it begins."""
    match why:
        case Why.BACKFILL:
            return True
        case Why.CATCH_UP:
            return rule.catch_up is CatchUp.ALL
        case Why.TIME:
            return False
        case _:
            assert_never(why)


def night_text(timezone: str, fire_at: float) -> str:
    """A fire time for people: `2026-03-29 22:00 Europe/Berlin`.

    Args:
        timezone: By whose clocks: of the rule that the night fired under. One that this machine does not
            know, as a newer version's may be, is taken for UTC.
        fire_at: Seconds since the Unix epoch.
    """
    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        timezone, zone = "UTC", ZoneInfo("UTC")
    return f"{datetime.fromtimestamp(fire_at, zone):%Y-%m-%d %H:%M} {timezone}"


def _made_up(rule: Rule) -> int:
    match rule.catch_up:
        case CatchUp.SKIP:
            return 0
        case CatchUp.LATEST:
            return 1
        case CatchUp.ALL:
            return rule.catch_up_limit
        case _:
            assert_never(rule.catch_up)


def _missed(rule: Rule, at: float) -> Decision:
    match rule.catch_up:
        case CatchUp.SKIP:
            reason = "no service ran at its time, and missed nights are not made up"
        case CatchUp.LATEST:
            reason = "no service ran at its time, and a later night has come"
        case CatchUp.ALL:
            limit = rule.catch_up_limit
            reason = f"no service ran at its time, and only the last {limit} missed nights are made up"
        case _:
            assert_never(rule.catch_up)
    return Decision(at, FiringState.MISSED, Why.CATCH_UP, reason)


def _late(rule: Rule, late: Sequence[float], now: float, *, others: bool) -> list[Decision]:
    """`others`: whether there are nights that are on time."""
    count = 0 if others and rule.catch_up is CatchUp.LATEST else _made_up(rule)
    first = max(len(late) - count, 0)
    decisions = [_missed(rule, at) for at in late[:first]]
    for at in late[first:]:
        closes_at = window_end(rule, Why.CATCH_UP, at, now)
        if closes_at is not None and closes_at <= now:
            reason = "no service ran at its time, and its window has passed"
            decisions.append(Decision(at, FiringState.MISSED, Why.CATCH_UP, reason))
        else:
            decisions.append(Decision(at, FiringState.DUE, Why.CATCH_UP))
    return decisions
