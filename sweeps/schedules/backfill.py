"""Which nights a backfill asks for."""

from datetime import date, datetime, time, timedelta
from itertools import takewhile

from search_spaces.issues import SpecIssue, shown
from sweeps.core.errors import SpecInvalid
from sweeps.schedules.nights import Decision, FiringState, Why
from sweeps.schedules.rule import Rule
from sweeps.schedules.times import fire_times, moment

MOST = 100
"""Nights that one backfill may ask for."""

_HINT = "a day, as 2026-01-31, or a time, as 2026-01-31T22:00, by the schedule's clocks"


def backfilled(rule: Rule, start: str, end: str, now: float) -> list[Decision]:
    """The nights from one local time to another, both included, each to be DUE.

    Args:
        rule: Of the schedule.
        start: A day or a time in ISO 8601, by the schedule's clocks,
        end: as this; a day is meant with all its nights.
        now: Seconds since the Unix epoch: a night that is still to come is not backfilled.

    Raises:
        SpecInvalid: With every problem: no such time, an end before the start, none or too many nights.
    """
    issues: list[SpecIssue] = []
    first, last = _read(rule, "from", start, issues), _read(rule, "to", end, issues)
    if first is None or last is None:
        raise SpecInvalid(issues)
    if last < first:
        raise SpecInvalid([SpecIssue("to", f"got {end}, but the backfill begins with {start}")])
    if first > now:
        raise SpecInvalid([SpecIssue("from", f"got {start}, which has not come yet")])
    last = min(last, now)
    found = []
    for at in takewhile(lambda at: at <= last, fire_times(rule, first - 1.0)):
        found.append(Decision(at, FiringState.DUE, Why.BACKFILL))
        if len(found) > MOST:
            problem = f"got more than {MOST} nights from {start} to {end}"
            raise SpecInvalid([SpecIssue("to", problem, f"take parts of up to {MOST} nights")])
    if not found:
        problem = f"there was no night from {start} to {end}"
        raise SpecInvalid([SpecIssue("to", problem, "masksweep schedule show NAME shows the cron rule")])
    return found


def _read(rule: Rule, name: str, text: str, issues: list[SpecIssue]) -> float | None:
    try:
        if len(text) <= 10:
            day = date.fromisoformat(text) + timedelta(days=name == "to")
            return moment(datetime.combine(day, time()), rule.zone) - (1.0 if name == "to" else 0.0)
        local = datetime.fromisoformat(text)
        return local.timestamp() if local.tzinfo else moment(local.replace(microsecond=0), rule.zone)
    except (ValueError, OverflowError):
        issues.append(SpecIssue(name, f"got {shown(text)}, but needs a day or a time", _HINT))
        return None
