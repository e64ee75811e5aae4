"""Fire times: cron by the clocks of a time zone, and what happens when these are set forward or back.

A rule that names hours, as `30 2 * * *` does, means local times: one that does not exist on a day fires once,
at the moment at which the gap closes; one that comes twice fires once, at the first. Where the hour is `*`,
as in `*/10 * * * *`, time that passes is meant: whatever the clocks do, it fires every ten minutes. This is
what Debian's cron does, but that it takes `*/2` hours, and a minute of `*`, for passing time as well; a night
must not be lost by how its hour is written. cronsim follows Debian, and so is asked about local times alone.
"""

import hashlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

from cronsim import CronSim

from sweeps.core.spec_fields import duration
from sweeps.schedules.rule import Rule

_LOOKED_AT = 50
"""Nights to come between which the shortest time is looked for."""
_DAY_S = 86400.0
_NO_TIME = timedelta()
_LONGEST_FOLD = timedelta(hours=25)
"""A zone that changed to the other side of the date line had a day twice."""


def fire_times(rule: Rule, after: float) -> Iterator[float]:
    """The fire times after a moment, ascending, each once; it may end after 50 years without one.

    Args:
        rule: Of the schedule; its jitter is left aside.
        after: Seconds since the Unix epoch, as what it yields.
    """
    zone = rule.zone
    while True:
        found = (_next_named if _names_hours(rule) else _next_passing)(rule.cron, zone, after)
        if found is None:
            return
        yield found
        after = found


def next_fire_time(rule: Rule, after: float) -> float | None:
    """The first fire time after a moment, in seconds since the Unix epoch; None: there is none."""
    return next(fire_times(rule, after), None)


def upcoming(rule: Rule, after: float, count: int) -> list[float]:
    """The next fire times after a moment, in seconds since the Unix epoch."""
    return list(islice(fire_times(rule, after), count))


def window_note(rule: Rule, after: float) -> str | None:
    """What to know of a rule whose window is not shorter than the time between its nights; else None.

    Args:
        rule: Of the schedule.
        after: The nights after this moment are looked at, in seconds since the Unix epoch.
    """
    if rule.window_s is None:
        return None
    times = upcoming(rule, after, _LOOKED_AT)
    shortest = min((later - at for at, later in pairwise(times)), default=None)
    if shortest is None or rule.window_s < shortest:
        return None
    return (
        f"the window, {duration(rule.window_s)}, is not shorter than the time between two nights, at least"
        f" {duration(shortest)}: a night may find the one before it at work, and then waits, or does what"
        f" overlap says ({rule.overlap})"
    )


def window_closes(rule: Rule, fire_at: float) -> float | None:
    """When the window of the night of a fire time closes; None: never.

    Where clocks are set forward, a window that fits between two times of the rule, as 24 hours do from one
    evening to the next, is cut at the second of them: its night would run into the next one, and that one
    may be lost by it. All other windows are of time that passes.

    Args:
        rule: Of the schedule.
        fire_at: Seconds since the Unix epoch, as what it returns.
    """
    if rule.window_s is None:
        return None
    closes_at = fire_at + rule.window_s
    zone = rule.zone
    if not _names_hours(rule) or _offset(closes_at, zone) == _offset(fire_at - 1.0, zone):
        return closes_at
    next_at = next_fire_time(rule, fire_at)
    if next_at is None or next_at >= closes_at:
        return closes_at
    # what passed by a clock that nobody sets in between, and what clocks show of it: a gap closes at fire_at
    forward = (_offset(next_at, zone) or _NO_TIME) - (_offset(fire_at - 1.0, zone) or _NO_TIME)
    return next_at if rule.window_s <= next_at - fire_at + forward.total_seconds() else closes_at


def jitter_of(rule: Rule, name: str, fire_at: float) -> float:
    """How late a firing is to be, from 0 to the rule's jitter, in seconds: the same whoever asks, and when.

    Args:
        rule: Of the schedule.
        name: The schedule's, so that schedules of one hour are spread.
        fire_at: Seconds since the Unix epoch.
    """
    if not rule.jitter_s:
        return 0.0
    digest = hashlib.sha256(f"{name}\n{fire_at:.0f}".encode()).digest()
    return rule.jitter_s * int.from_bytes(digest[:8], "big") / 2.0**64


def due_time(rule: Rule, name: str, fire_at: float | None) -> float | None:
    """A fire time with its jitter; None stays None."""
    return None if fire_at is None else fire_at + jitter_of(rule, name, fire_at)


def moment(local: datetime, zone: ZoneInfo) -> float:
    """When clocks show a local time first; for one that they pass over, when the gap closes.

    Args:
        local: Without a time zone.
        zone: Of the clocks.

    Returns:
        Seconds since the Unix epoch.
    """
    first = local.replace(tzinfo=zone, fold=0).timestamp()
    if _local(first, zone) == local:
        return first
    # by the old offset it is later than the change, by the new one earlier (PEP 495)
    low, high = local.replace(tzinfo=zone, fold=1).timestamp(), first
    offset = _offset(high, zone)
    while high - low > 1.0:
        middle = (low + high) // 2.0
        low, high = (low, middle) if _offset(middle, zone) == offset else (middle, high)
    return high


def _names_hours(rule: Rule) -> bool:
    return rule.cron.split()[1] != "*"


def _next_named(cron: str, zone: ZoneInfo, after: float) -> float | None:
    for local in CronSim(cron, _local(after, zone)):
        found = moment(local, zone)
        if found > after:  # not so while an hour comes for the second time
            return found
    return None


def _next_passing(cron: str, zone: ZoneInfo, after: float) -> float | None:
    here = _local(after, zone)
    local = next(CronSim(cron, here), None)
    if local is None:
        return None
    offset = _offset(after, zone)
    found = (local - here).total_seconds() + float(int(after))
    if _offset(found, zone) == offset and found - after < _DAY_S:
        return found
    # The clocks change in between: both passes of each local time are looked at.
    best: float | None = None
    for local in CronSim(cron, here - _LONGEST_FOLD):
        passes = {local.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1)}
        real = [each for each in passes if each > after and _local(each, zone) == local]
        best = min([*real, best] if best is not None else real, default=None)
        if best is not None and local > _local(best, zone) + _LONGEST_FOLD:
            return best
    return best


def _local(at: float, zone: ZoneInfo) -> datetime:
    """What clocks show, to the second."""
    return datetime.fromtimestamp(int(at // 1), zone).replace(tzinfo=None, fold=0)


def _offset(at: float, zone: ZoneInfo) -> timedelta | None:
    return datetime.fromtimestamp(at, zone).utcoffset()
