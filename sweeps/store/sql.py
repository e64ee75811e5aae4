"""The statements that change the store: the fence, and the one gate that every change of state passes.

They are built once: building a statement costs SQLAlchemy several times what SQLite needs to run it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from sweeps.core.errors import StaleEpoch, WrongState
from sweeps.core.states import (
    ATTEMPT_TRANSITIONS,
    SWEEP_REOPENINGS,
    SWEEP_TRANSITIONS,
    TRIAL_REOPENINGS,
    TRIAL_TRANSITIONS,
    AttemptState,
    SweepState,
    TrialState,
)
from sweeps.records import Claim
from sweeps.store.tables import attempts, curves, details, events, measurements, sweeps, trial_values, trials


@dataclass(frozen=True, slots=True)
class Written:
    """An event as it was inserted: if the store has it, its transaction was committed."""

    event_id: int
    row: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Key:
    """Names an attempt, and with it the trial as long as it is at that attempt."""

    sweep_id: str
    number: int
    attempt: int


def _bound(name: str, like: sa.Column[Any]) -> sa.BindParameter[Any]:
    return sa.bindparam(name, type_=like.type)


_at_sweep = _bound("at_sweep", sweeps.c.sweep_id)
_at_number, _at_attempt = _bound("at_number", trials.c.number), _bound("at_attempt", trials.c.attempt)
_at_state, _more_s = _bound("at_state", trials.c.state), _bound("more_s", trials.c.worker_s)

_held_sweep = sa.update(sweeps).where(
    sweeps.c.sweep_id == _at_sweep, sweeps.c.epoch == _bound("at_epoch", sweeps.c.epoch)
)
_MOVE_SWEEP = _held_sweep.where(sweeps.c.state == _at_state)

_now = _bound("now", sweeps.c.beat_at)
_elapsed = _now - sweeps.c.beat_at
_driven = sweeps.c.state.in_([SweepState.RUNNING.value, SweepState.STOPPING.value])
_FENCE = _held_sweep.where(_driven).values(
    beat_at=_now,
    active_s=sweeps.c.active_s + sa.case((_elapsed > 0, _elapsed), else_=0.0),  # a clock may be set back
    worker_s=sweeps.c.worker_s + _more_s,
)

MOVE_TRIAL = sa.update(trials).where(
    trials.c.sweep_id == _at_sweep,
    trials.c.number == _at_number,
    trials.c.attempt == _at_attempt,
    trials.c.state == _at_state,
)
"""Sets the columns that it is given."""

REPORT_TRIAL = MOVE_TRIAL.values(
    worker_s=trials.c.worker_s + _more_s, failures=trials.c.failures + _bound("failed", trials.c.failures)
)
"""The same, and adds `more_s` worker seconds and `failed` failures."""

REPORT_TRIAL_BACK = REPORT_TRIAL.values(iteration=trials.c.checkpoint_iteration)
"""The same; what came after the checkpoint is done again."""

_REOPEN_TRIAL = MOVE_TRIAL.values(iteration=trials.c.checkpoint_iteration)

_MOVE_ATTEMPT = (
    sa.update(attempts)
    .where(
        attempts.c.sweep_id == _at_sweep,
        attempts.c.number == _at_number,
        attempts.c.attempt == _at_attempt,
        attempts.c.state == AttemptState.RUNNING.value,
    )
    .values(worker_s=attempts.c.worker_s + _more_s)
)


def fence(connection: Connection, claim: Claim, now: float, worker_s: float = 0.0) -> None:
    """Begins a driver's transaction: locks the sweep's row, beats, and adds worker seconds.

    Raises:
        StaleEpoch: The epoch is no longer the claim's.
        WrongState: The driver has left the sweep PAUSED or ended already.
    """
    bound = {"at_sweep": claim.sweep_id, "at_epoch": claim.epoch, "now": now, "more_s": worker_s}
    if connection.execute(_FENCE, bound).rowcount == 1:
        return
    query = sa.select(sweeps.c.epoch, sweeps.c.state).where(sweeps.c.sweep_id == claim.sweep_id)
    found = connection.execute(query).one_or_none()
    if found is not None and found.epoch == claim.epoch:
        raise WrongState(f"sweep {claim.sweep_id} is {found.state}: its driver has left it")
    raise StaleEpoch(f"sweep {claim.sweep_id}: epoch {claim.epoch} is over, another driver has taken it")


def move_sweep(
    connection: Connection, held: Claim, old: SweepState, new: SweepState, values: Mapping[str, Any]
) -> bool:
    """Changes a sweep that is still `old` under the epoch `held`; False if it is not. A state may stay."""
    _check(f"sweep {held.sweep_id}", old, new, new is old or new in SWEEP_TRANSITIONS[old])
    bound = {"at_sweep": held.sweep_id, "at_epoch": held.epoch, "at_state": old.value}
    return connection.execute(_MOVE_SWEEP, {**bound, "state": new.value, **values}).rowcount == 1


def reopen_sweep(connection: Connection, held: Claim, old: SweepState, values: Mapping[str, Any]) -> None:
    """A sweep that has ended is PAUSED; the caller holds its row."""
    new = SweepState.PAUSED
    _check(f"sweep {held.sweep_id}", old, new, new in SWEEP_REOPENINGS.get(old, ()))
    bound = {"at_sweep": held.sweep_id, "at_epoch": held.epoch, "at_state": old.value}
    connection.execute(_MOVE_SWEEP, {**bound, "state": new.value, **values})


def reopen_trial(connection: Connection, key: Key, old: TrialState, values: Mapping[str, Any]) -> None:
    """A trial that was cut off is QUEUED again, from its checkpoint; the caller holds its sweep's row."""
    new = TrialState.QUEUED
    what = f"trial {key.number} of sweep {key.sweep_id}"
    _check(what, old, new, new in TRIAL_REOPENINGS.get(old, ()))
    bound = {**_bind(key), "at_state": old.value, "state": new.value, **values}
    connection.execute(_REOPEN_TRIAL, bound)


def move_trial(
    connection: Connection,
    key: Key,
    old: TrialState,
    new: TrialState,
    values: Mapping[str, Any],
    *,
    statement: sa.Update = MOVE_TRIAL,
) -> bool:
    """Changes a trial that is still `old` at the attempt; False if it is not. RUNNING may stay RUNNING."""
    stays = old is new is TrialState.RUNNING
    what = f"trial {key.number} of sweep {key.sweep_id}"
    _check(what, old, new, stays or new in TRIAL_TRANSITIONS[old])
    bound = {**_bind(key), "at_state": old.value, "state": new.value, **values}
    return connection.execute(statement, bound).rowcount == 1


def move_attempt(
    connection: Connection, key: Key, new: AttemptState, values: Mapping[str, Any], *, worker_s: float = 0.0
) -> bool:
    """Changes a RUNNING attempt; False if it does not run. RUNNING may stay RUNNING."""
    old = AttemptState.RUNNING
    what = f"attempt {key.attempt} of trial {key.number}"
    _check(what, old, new, new is old or new in ATTEMPT_TRANSITIONS[old])
    bound = {**_bind(key), "more_s": worker_s, "state": new.value, **values}
    return connection.execute(_MOVE_ATTEMPT, bound).rowcount == 1


_SPEND = sa.update(sweeps).where(sweeps.c.sweep_id == _at_sweep).values(worker_s=sweeps.c.worker_s + _more_s)
_HELD = sa.select(attempts.c.started_at, attempts.c.worker_s).where(
    attempts.c.sweep_id == _at_sweep, attempts.c.number == _at_number, attempts.c.attempt == _at_attempt
)


def unreported_s(connection: Connection, key: Key, until: float) -> float:
    """Worker seconds of an attempt up to a moment that no report of it has told."""
    started_at, told_s = connection.execute(_HELD, _bind(key)).one()
    return max(0.0, float(until - started_at - told_s))


def spend(connection: Connection, claim: Claim, worker_s: float) -> None:
    """Adds worker seconds to a sweep."""
    connection.execute(_SPEND, {"at_sweep": claim.sweep_id, "more_s": worker_s})


def _bind(key: Key) -> dict[str, Any]:
    return {"at_sweep": key.sweep_id, "at_number": key.number, "at_attempt": key.attempt}


def _check(
    what: str,
    old: SweepState | TrialState | AttemptState,
    new: SweepState | TrialState | AttemptState,
    allowed: bool,
) -> None:
    if not allowed:
        raise WrongState(f"{what} is {old.value} and cannot become {new.value}")


_ADD_EVENT, _ADD_TRIAL, _ADD_ATTEMPT = sa.insert(events), sa.insert(trials), sa.insert(attempts)


def add_sweep_event(
    connection: Connection,
    held: Claim,
    kind: str,
    now: float,
    data: Mapping[str, Any] | None = None,
    *,
    by: str | None = None,
) -> None:
    """Writes down what happened to a sweep, in the transaction in which it happened.

    `by` says who did it, unless the data does.
    """
    told = dict(data or {})
    values = {"number": None, "attempt": None, "data": told, "by": by or told.get("by")}
    _add_event(connection, held, kind, now, values)


def add_service_event(
    connection: Connection, kind: str, now: float, data: Mapping[str, Any], *, by: str
) -> None:
    """Writes down what happened to the service itself, in the transaction in which it happened."""
    row = {"sweep_id": None, "number": None, "attempt": None, "epoch": 0, "at": now}
    connection.execute(_ADD_EVENT, {**row, "kind": kind, "data": dict(data), "by": by})


def add_trial_event(
    connection: Connection, claim: Claim, key: Key, kind: str, now: float, *, data: Mapping[str, Any]
) -> None:
    """Writes down what happened to a trial, in the transaction in which it happened."""
    _add_event(
        connection, claim, kind, now, {"number": key.number, "attempt": key.attempt, "data": data, "by": None}
    )


def _add_event(connection: Connection, held: Claim, kind: str, now: float, values: Mapping[str, Any]) -> None:
    row = {"sweep_id": held.sweep_id, "epoch": held.epoch, "kind": kind, "at": now, **values}
    key = connection.execute(_ADD_EVENT, row).inserted_primary_key
    assert key is not None
    connection.info[_WRITTEN] = Written(key.event_id, row)


_WRITTEN = "written"
_IDENTITY = ("sweep_id", "epoch", "kind", "at", "number", "attempt")


def forget_written(connection: Connection) -> None:
    """Begins to watch a transaction for events."""
    connection.info.pop(_WRITTEN, None)


def last_written(connection: Connection) -> Written | None:
    """The last event since `forget_written`, or None."""
    written: Written | None = connection.info.get(_WRITTEN)
    return written


def is_written(connection: Connection, written: Written) -> bool:
    """Whether the store has that very event: of a transaction that was rolled back, the id may be reused."""
    found = connection.execute(sa.select(events).where(events.c.event_id == written.event_id))
    row = found.mappings().one_or_none()
    return row is not None and all(row[name] == written.row[name] for name in _IDENTITY)


def add_new(connection: Connection, table: sa.Table, row: Mapping[str, Any]) -> bool:
    """A new row; False if there is one with its key, which is then kept."""
    insert: Any = _INSERTS[connection.dialect.name]
    statement = insert(table).on_conflict_do_nothing().returning(*table.primary_key)
    return connection.execute(statement, dict(row)).first() is not None


def add_new_rows(
    connection: Connection, table: sa.Table, new: Sequence[Mapping[str, Any]]
) -> set[tuple[Any, ...]]:
    """New rows in one statement; those with a key that is there are left out. The keys of the others."""
    if not new:
        return set()
    insert: Any = _INSERTS[connection.dialect.name]
    statement = insert(table).values([dict(row) for row in new])
    found = connection.execute(statement.on_conflict_do_nothing().returning(*table.primary_key))
    return {tuple(row) for row in found}


def add_trial(connection: Connection, claim: Claim, row: Mapping[str, Any]) -> None:
    """A new trial.

    Raises:
        WrongState: The sweep has a trial of that number.
    """
    try:
        connection.execute(_ADD_TRIAL, {"sweep_id": claim.sweep_id, **row})
    except sa.exc.IntegrityError as error:
        raise WrongState(f"sweep {claim.sweep_id} has a trial {row['number']} already") from error


def add_attempt(
    connection: Connection, claim: Claim, key: Key, start_iteration: int, now: float, *, gpus: float
) -> None:
    """A new RUNNING attempt that holds a share of a GPU."""
    row = {
        "sweep_id": key.sweep_id,
        "number": key.number,
        "attempt": key.attempt,
        "state": AttemptState.RUNNING.value,
        "epoch": claim.epoch,
        "started_at": now,
        "start_iteration": start_iteration,
        "iteration": start_iteration,
        "worker_s": 0.0,
        "gpus": gpus,
    }
    connection.execute(_ADD_ATTEMPT, row)


def _first_wins(insert: Any) -> Any:
    return insert(measurements).on_conflict_do_nothing().returning(measurements.c.iteration)


def _last_wins(insert: Any) -> Any:
    statement = insert(curves)
    return statement.on_conflict_do_update(
        index_elements=[column.name for column in curves.primary_key],
        set_={"at": statement.excluded["at"], "values": statement.excluded["values"]},
    )


_INSERTS = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
_ADD_MEASUREMENT = {name: _first_wins(insert) for name, insert in _INSERTS.items()}
_ADD_DETAILS = sa.insert(details)
_PUT_CURVE = {name: _last_wins(insert) for name, insert in _INSERTS.items()}


def add_measurement(connection: Connection, row: Mapping[str, Any]) -> bool:
    """Stores a rung's measurement; False if the rung has one already, which is then kept."""
    statement = _ADD_MEASUREMENT[connection.dialect.name]
    return connection.execute(statement, dict(row)).first() is not None


def add_details(connection: Connection, row: Mapping[str, Any]) -> None:
    """Stores the details of a measurement that `add_measurement` has just stored."""
    connection.execute(_ADD_DETAILS, dict(row))


_DROP_VALUES = sa.delete(trial_values).where(
    trial_values.c.sweep_id == _at_sweep, trial_values.c.number == _at_number
)
_ADD_VALUES = sa.insert(trial_values)
_ADD_VALUES_AT_ONCE = _ADD_VALUES.from_select(  # a statement a value would cost PostgreSQL ten times that
    ["sweep_id", "number", "name", "value"],
    sa.select(
        _at_sweep,
        _at_number,
        sa.func.unnest(sa.bindparam("names", type_=postgresql.ARRAY(sa.Text))),
        sa.func.unnest(sa.bindparam("numbers", type_=postgresql.ARRAY(sa.Double))),
    ),
)


def put_values(connection: Connection, key: Key, values: Mapping[str, float]) -> None:
    """Stores a trial's newest values by name, all finite, instead of those that it had."""
    at = {"at_sweep": key.sweep_id, "at_number": key.number}
    connection.execute(_DROP_VALUES, at)
    if not values:
        return
    if connection.dialect.name == "postgresql":
        arrays = {"names": list(values), "numbers": list(values.values())}
        connection.execute(_ADD_VALUES_AT_ONCE, at | arrays)
        return
    row = {"sweep_id": key.sweep_id, "number": key.number}
    connection.execute(_ADD_VALUES, [{**row, "name": name, "value": value} for name, value in values.items()])


def put_curve(connection: Connection, points: Sequence[Mapping[str, Any]]) -> None:
    """Stores curve points; a point that is sent again replaces itself."""
    connection.execute(_PUT_CURVE[connection.dialect.name], [dict(point) for point in points])
