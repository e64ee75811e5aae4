"""Since when a display lacks something of a sweep: the age of the oldest row that is still to be shipped.

What a display shows is said by the marks of `sweeps.store.marks`. What is never shipped, as events, does not
count. An attempt that is settled has nothing left, so that few are looked at however many there were.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from sweeps.records import SweepRecord
from sweeps.store.marks import SWEEP
from sweeps.store.tables import attempts, curves, measurements, mirrored

_AT_ONCE = 200
"""Attempts that one query looks at."""

_MARK = sa.type_coerce(mirrored.c.cursor, sa.Text)
_ITEM = sa.cast(attempts.c.number, sa.Text) + "/" + sa.cast(attempts.c.attempt, sa.Text)


def lag_of(connection: Connection, sweep: SweepRecord, now: float) -> float:
    """Seconds for which a display has lacked something of a sweep; 0 where it has all there is.

    Where a sweep was shown by several displays, the one that was sent something last counts. What no driver
    has begun is shown nowhere.
    """
    if sweep.started_at is None:
        return 0.0
    since = _lacks_since(connection, sweep)
    return 0.0 if since is None else max(0.0, now - since)


def _lacks_since(connection: Connection, sweep: SweepRecord) -> float | None:
    of_sweep = mirrored.c.sweep_id == sweep.sweep_id
    latest = sa.select(mirrored.c.target).where(of_sweep).order_by(mirrored.c.at.desc()).limit(1)
    target = connection.execute(latest).scalar()
    whole = sa.select(mirrored.c.at).where(
        of_sweep, mirrored.c.target == target, mirrored.c.item == SWEEP, mirrored.c.run_id != ""
    )
    shown_at = None if target is None else connection.execute(whole).scalar()
    if shown_at is None:  # not even that there is a sweep
        return sweep.started_at
    times = [] if sweep.ended_at is None or shown_at >= sweep.ended_at else [sweep.ended_at]
    begun: list[RowMapping] = []
    for row in connection.execute(_unsettled(sweep.sweep_id, target)).mappings():
        if not row["run_id"]:
            times.append(row["started_at"])
            continue
        begun.append(row)
        if row["ended_at"] is not None:
            times.append(row["ended_at"])
    for first in range(0, len(begun), _AT_ONCE):
        times += _unshown(connection, sweep.sweep_id, begun[first : first + _AT_ONCE])
    return min(times, default=None)


def _unsettled(sweep_id: str, target: str | None) -> sa.Select[Any]:
    """Attempts of which something may be left to ship, with their marks."""
    mine = sa.and_(mirrored.c.target == target, mirrored.c.sweep_id == sweep_id, mirrored.c.item == _ITEM)
    columns = (attempts.c.number, attempts.c.attempt, attempts.c.started_at, attempts.c.ended_at)
    return (
        sa.select(*columns, mirrored.c.run_id, mirrored.c.cursor)
        .select_from(attempts.outerjoin(mirrored, mine))
        .where(attempts.c.sweep_id == sweep_id)
        .where(sa.or_(_MARK.is_(None), _MARK.not_like('%"settled":true%')))
    )


def _unshown(connection: Connection, sweep_id: str, begun: Sequence[RowMapping]) -> list[float]:
    """When the oldest measurement and the oldest curve point came that lie behind the marks of attempts."""
    found = list[float]()
    for table, cursor in ((measurements, "measured"), (curves, "curved")):
        behind = [
            sa.and_(
                table.c.number == row["number"],
                table.c.attempt == row["attempt"],
                table.c.iteration > row["cursor"].get(cursor, -1),
            )
            for row in begun
        ]
        oldest = sa.select(sa.func.min(table.c.at)).where(table.c.sweep_id == sweep_id, sa.or_(*behind))
        at = connection.execute(oldest).scalar()
        found += [] if at is None else [at]
    return found
