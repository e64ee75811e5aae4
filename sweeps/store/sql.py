"""The statements that change the store: the fence, and the one gate that every change of state passes."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from sweeps.core.errors import StaleEpoch, WrongState
from sweeps.core.states import (
    ATTEMPT_TRANSITIONS,
    SWEEP_TRANSITIONS,
    TRIAL_TRANSITIONS,
    AttemptState,
    SweepState,
    TrialState,
)
from sweeps.records import Claim
from sweeps.store.tables import attempts, curves, events, measurements, sweeps, trials

_elapsed = sa.bindparam("now", type_=sa.Double) - sweeps.c.beat_at
_FENCE = (
    sa.update(sweeps)
    .where(sweeps.c.sweep_id == sa.bindparam("sweep"), sweeps.c.epoch == sa.bindparam("held"))
    .values(
        beat_at=sa.bindparam("now", type_=sa.Double),
        active_s=sweeps.c.active_s + sa.case((_elapsed > 0, _elapsed), else_=0.0),  # a clock may be set back
        worker_s=sweeps.c.worker_s + sa.bindparam("worked", type_=sa.Double),
    )
)


def fence(connection: Connection, claim: Claim, now: float, worker_s: float = 0.0) -> None:
    """Begins a driver's transaction: locks the sweep's row, beats, and adds worker seconds.

    Raises:
        StaleEpoch: The epoch is no longer the claim's.
    """
    bound = {"sweep": claim.sweep_id, "held": claim.epoch, "now": now, "worked": worker_s}
    if connection.execute(_FENCE, bound).rowcount != 1:
        raise StaleEpoch(f"sweep {claim.sweep_id}: epoch {claim.epoch} is over, another driver has taken it")


def move_sweep(
    connection: Connection, sweep_id: str, epoch: int, old: SweepState, new: SweepState, values: Mapping[str, Any]
) -> bool:
    """Changes a sweep's state if it is still `old` under `epoch`; False if it is not."""
    _check(f"sweep {sweep_id}", old, new, new in SWEEP_TRANSITIONS[old])
    statement = sa.update(sweeps).where(
        sweeps.c.sweep_id == sweep_id, sweeps.c.epoch == epoch, sweeps.c.state == old.value
    )
    return connection.execute(statement.values(state=new.value, **values)).rowcount == 1


def move_trial(
    connection: Connection,
    sweep_id: str,
    number: int,
    attempt: int,
    old: TrialState,
    new: TrialState,
    values: Mapping[str, Any],
) -> bool:
    """Changes a trial's state if it is still `old` at `attempt`; False if it is not. RUNNING may stay RUNNING."""
    stays = old is new is TrialState.RUNNING
    _check(f"trial {number} of sweep {sweep_id}", old, new, stays or new in TRIAL_TRANSITIONS[old])
    statement = sa.update(trials).where(
        trials.c.sweep_id == sweep_id,
        trials.c.number == number,
        trials.c.attempt == attempt,
        trials.c.state == old.value,
    )
    return connection.execute(statement.values(state=new.value, **values)).rowcount == 1


def move_attempt(
    connection: Connection,
    sweep_id: str,
    number: int,
    attempt: int,
    new: AttemptState,
    values: Mapping[str, Any],
) -> bool:
    """Changes a RUNNING attempt; False if it does not run. RUNNING may stay RUNNING."""
    old = AttemptState.RUNNING
    _check(f"attempt {attempt} of trial {number}", old, new, new is old or new in ATTEMPT_TRANSITIONS[old])
    statement = sa.update(attempts).where(
        attempts.c.sweep_id == sweep_id,
        attempts.c.number == number,
        attempts.c.attempt == attempt,
        attempts.c.state == old.value,
    )
    return connection.execute(statement.values(state=new.value, **values)).rowcount == 1


def _check(
    what: str,
    old: SweepState | TrialState | AttemptState,
    new: SweepState | TrialState | AttemptState,
    allowed: bool,
) -> None:
    if not allowed:
        raise WrongState(f"{what} is {old.value} and cannot become {new.value}")


def add_event(
    connection: Connection,
    sweep_id: str,
    kind: str,
    epoch: int,
    at: float,
    *,
    number: int | None = None,
    attempt: int | None = None,
    data: Mapping[str, Any] | None = None,
) -> None:
    """Writes down what happened, in the transaction in which it happened."""
    connection.execute(
        sa.insert(events).values(
            sweep_id=sweep_id, kind=kind, number=number, attempt=attempt, epoch=epoch, at=at, data=dict(data or {})
        )
    )


def add_attempt(
    connection: Connection, claim: Claim, number: int, attempt: int, start_iteration: int, now: float
) -> None:
    """A new RUNNING attempt."""
    connection.execute(
        sa.insert(attempts).values(
            sweep_id=claim.sweep_id,
            number=number,
            attempt=attempt,
            state=AttemptState.RUNNING.value,
            epoch=claim.epoch,
            started_at=now,
            start_iteration=start_iteration,
            iteration=start_iteration,
            worker_s=0.0,
        )
    )


def add_measurement(connection: Connection, row: Mapping[str, Any]) -> bool:
    """Stores a rung's measurement; False if the rung has one already, which is then kept."""
    insert = _insert(connection)(measurements).values(dict(row)).on_conflict_do_nothing()
    return connection.execute(insert.returning(measurements.c.iteration)).first() is not None


def put_curve(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Stores curve points; a point that is sent again replaces itself."""
    insert = _insert(connection)(curves)
    upsert = insert.on_conflict_do_update(
        index_elements=[c.name for c in curves.primary_key],
        set_={"at": insert.excluded["at"], "values": insert.excluded["values"]},
    )
    connection.execute(upsert, [dict(row) for row in rows])


def _insert(connection: Connection) -> Any:
    return sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
