"""Sums over schedules for those who watch the service."""

from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from sweeps.schedules.nights import FiringState, ScheduleState
from sweeps.store.engine import reading
from sweeps.store.tables_night import firings, schedules


@dataclass(frozen=True, slots=True)
class ScheduleTotals:
    """The numbers of all schedules.

    Attributes:
        schedules: How many are in each state.
        nights: How many are in each state.
        lag_s: For how many seconds the fire time that is due longest has not been decided, or the night that
            is DUE longest has not begun; 0 where there is neither.
    """

    schedules: Mapping[ScheduleState, int]
    nights: Mapping[FiringState, int]
    lag_s: float


def schedule_totals(engine: Engine, now: float) -> ScheduleTotals:
    """The numbers of a store at a moment, in seconds since the Unix epoch."""
    s, f = schedules, firings
    by_state = sa.select(s.c.state, sa.func.count()).group_by(s.c.state)
    of_nights = sa.select(f.c.state, sa.func.count()).group_by(f.c.state)
    due = sa.select(sa.func.min(s.c.due_at)).where(s.c.state == ScheduleState.ACTIVE.value)
    decided = sa.select(sa.func.min(f.c.decided_at)).where(f.c.state == FiringState.DUE.value)
    with reading(engine) as connection:
        since = [connection.execute(query).scalar() for query in (due, decided)]
        return ScheduleTotals(
            {ScheduleState(state): count for state, count in connection.execute(by_state)},
            {FiringState(state): count for state, count in connection.execute(of_nights)},
            max(0.0, *(now - at for at in since if at is not None)) if any(since) else 0.0,
        )
