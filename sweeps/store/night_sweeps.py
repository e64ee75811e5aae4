"""Which sweeps a schedule's nights had."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sweeps.records import SweepRecord
from sweeps.store.readable import readable_sweep
from sweeps.store.tables import sweeps
from sweeps.store.tables_night import firings, schedules

LATEST = 30
"""Sweeps of a schedule that a new one learns from: older nights knew less, and all take long to read."""


def schedule_sweeps(connection: Connection, name: str) -> list[SweepRecord] | None:
    """The sweeps of a schedule's latest nights, the latest first; None if there never was such a schedule."""
    known = sa.select(sa.exists().where(schedules.c.name == name))
    if not connection.execute(known).scalar():
        return None
    latest = (
        sa.select(firings.c.sweep_id, sa.func.max(firings.c.started_at).label("at"))
        .where(firings.c.schedule == name, firings.c.sweep_id.is_not(None))
        .group_by(firings.c.sweep_id)
        .order_by(sa.desc("at"))
        .limit(LATEST)
        .subquery()
    )
    query = sa.select(sweeps).join(latest, latest.c.sweep_id == sweeps.c.sweep_id)
    query = query.order_by(latest.c.at.desc(), sweeps.c.sweep_id)
    return [sweep for row in connection.execute(query).mappings() if (sweep := readable_sweep(row))]
