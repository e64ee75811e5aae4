"""Sweeps that ended FAILED because nothing could drive them: nothing is said of their trials by that.

Whoever mends what was wrong has them taken up again. A search that failed by itself stays what it is.
"""

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from sweeps.core.states import SweepState
from sweeps.records import Claim, SweepRecord
from sweeps.store import sql
from sweeps.store.engine import writing
from sweeps.store.leaving import leave
from sweeps.store.tables import events

GIVEN_UP = "sweep.given_up"
"""The event, of the epoch in which it was given up."""

MOST_CHARACTERS = 2000


def give_up(engine: Engine, claim: Claim, reason: str, now: float) -> SweepState:
    """Ends a sweep that cannot be driven.

    Args:
        engine: The store's.
        claim: The licence, as a driver has it: of several who try, one gets it.
        reason: Why, for people; its first 2000 characters are kept.
        now: Seconds since the Unix epoch.

    Returns:
        FAILED, or CANCELLED if that was asked for.

    Raises:
        StaleEpoch: Somebody else claimed the sweep since.
    """
    reason = reason[:MOST_CHARACTERS]
    with writing(engine) as connection:
        sql.fence(connection, claim, now)
        left = leave(connection, claim, SweepState.FAILED, reason, now, limit=None)
        if left is SweepState.FAILED:
            sql.add_sweep_event(connection, claim, GIVEN_UP, now, {"reason": reason})
    return left


def was_given_up(connection: Connection, sweep: SweepRecord) -> bool:
    """Whether a sweep is FAILED since nothing could drive it, and so may be taken up again."""
    if sweep.state is not SweepState.FAILED:
        return False
    held = Claim(sweep.sweep_id, sweep.epoch)
    found = sa.exists().where(
        events.c.sweep_id == held.sweep_id, events.c.epoch == held.epoch, events.c.kind == GIVEN_UP
    )
    return bool(connection.execute(sa.select(found)).scalar_one())
