"""Sums over schedules for those who watch the service."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from sweeps.core.errors import UnreadableSchedule
from sweeps.schedules.nights import OPEN, FiringState, ScheduleState
from sweeps.store.engine import reading
from sweeps.store.readable import readable_rule
from sweeps.store.schedules import find_schedule
from sweeps.store.tables_night import firings, schedules

LATELY_S = 24 * 3600.0
"""How far back nights that are over are counted: all that there ever were take longer each night."""

_STATES = frozenset(ScheduleState)
_GO_ON = [state.value for state in (*OPEN, FiringState.RUNNING)]


@dataclass(frozen=True, slots=True)
class ScheduleTotals:
    """The numbers of all schedules.

    Attributes:
        schedules: How many are in each state.
        nights: How many are in each state; of those that are over, what ended in the last `LATELY_S`.
        lag_s: For how many seconds the fire time that is due longest has not been decided, or the night that
            is DUE longest has not begun; 0 where there is neither. What cannot be read is left out.
    """

    schedules: Mapping[ScheduleState, int]
    nights: Mapping[FiringState, int]
    lag_s: float


def schedule_totals(engine: Engine, now: float) -> ScheduleTotals:
    """The numbers of a store at a moment, in seconds since the Unix epoch."""
    s, f = schedules, firings
    by_state = sa.select(s.c.state, sa.func.count()).group_by(s.c.state)
    going_on = sa.select(f.c.state, sa.func.count()).where(f.c.state.in_(_GO_ON)).group_by(f.c.state)
    # not by the column itself: SQLite would walk all rows in the order of an index that has it
    state = (f.c.state + "").label("night_state")
    over = sa.select(state, sa.func.count()).where(f.c.ended_at > now - LATELY_S).group_by(state)
    with reading(engine) as connection:
        since = (_due_since(connection, now), _waits_since(connection))
        return ScheduleTotals(
            {
                ScheduleState(state): count
                for state, count in connection.execute(by_state)
                if state in _STATES  # of a newer version may be another
            },
            {
                FiringState(state): count
                for query in (going_on, over)
                for state, count in connection.execute(query)
            },
            max(0.0, *(now - at for at in since if at is not None)) if any(since) else 0.0,
        )


def _due_since(connection: Connection, now: float) -> float | None:
    """Since when the fire time that is due longest is."""
    s = schedules
    query = sa.select(s.c.name, s.c.rule, s.c.due_at)
    query = query.where(s.c.state == ScheduleState.ACTIVE.value, s.c.due_at <= now).order_by(s.c.due_at)
    for row in connection.execute(query):
        if readable_rule(row.name, row.rule) is not None:
            return float(row.due_at)
    return None


def _waits_since(connection: Connection) -> float | None:
    """Since when the night that is DUE longest is."""
    f = firings
    longest = sa.select(f.c.schedule, sa.func.min(f.c.decided_at).label("at"))
    longest = longest.where(f.c.state == FiringState.DUE.value).group_by(f.c.schedule).order_by("at")
    for row in connection.execute(longest).all():
        with suppress(UnreadableSchedule):
            find_schedule(connection, row.schedule)
            return float(row.at)
    return None
