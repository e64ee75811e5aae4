"""The nights of a sweep: one, or several that shared it, each from where the last had paused."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from sweeps.schedules.nights import night_text
from sweeps.schedules.rule import rule_timezone
from sweeps.store.engine import reading
from sweeps.store.tables import Json
from sweeps.store.tables_night import firings, schedules, verdicts


@dataclass(frozen=True, slots=True)
class SweepNight:
    """A night of a sweep. Times are seconds since the Unix epoch.

    Attributes:
        schedule: The schedule's name.
        fire_at: Which night of it,
        local: and what it is called, by the clocks of the rule that it fired under.
        state: Of the firing.
        started_at: When it began, or None.
        ended_at: When it was over, or None.
        decision: What was decided of its best, or None,
        verdict: and why, in words.
    """

    schedule: str
    fire_at: float
    local: str
    state: str
    started_at: float | None
    ended_at: float | None
    decision: str | None
    verdict: str | None


def sweep_nights(engine: Engine, sweep_id: str) -> list[SweepNight]:
    """The nights of a sweep, first to last; none of one that no schedule fired."""
    f, v = firings.c, verdicts.c
    query = (
        sa.select(
            f.schedule,
            f.fire_at,
            f.state,
            f.started_at,
            f.ended_at,
            v.decision,
            v.reason.label("verdict"),
            sa.func.coalesce(f.rule, schedules.c.rule, type_=Json).label("rule"),
        )
        .join(schedules, schedules.c.name == f.schedule)
        .outerjoin(verdicts, sa.and_(v.schedule == f.schedule, v.fire_at == f.fire_at))
        .where(f.sweep_id == sweep_id)
        .order_by(f.fire_at, f.schedule)
    )
    with reading(engine) as connection:
        found = map(dict, connection.execute(query).mappings())
        return [
            SweepNight(local=night_text(rule_timezone(row.pop("rule")), row["fire_at"]), **row)
            for row in found
        ]
