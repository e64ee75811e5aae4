"""Finds one sweep or trial, or says what there is instead."""

from difflib import get_close_matches
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sweeps.core.errors import UnknownSweep, WrongState
from sweeps.core.requests import Request, RequestState
from sweeps.records import SweepRecord, TrialRecord
from sweeps.store import rows
from sweeps.store.tables import attempts, requests, sweeps, trials

_OF = sa.bindparam("of", type_=sa.Text)
_GPUS = sa.func.coalesce(attempts.c.gpus, sa.bindparam("unnoted", type_=sa.Double))
_HELD = sa.select(sa.func.sum(attempts.c.worker_s * _GPUS)).where(attempts.c.sweep_id == _OF)
_OPEN = (
    sa.select(requests)
    .where(requests.c.sweep_id == _OF, requests.c.state == RequestState.OPEN.value)
    .order_by(requests.c.request_id)
)


def trials_of(sweep_id: str | sa.BindParameter[str]) -> sa.Select[Any]:
    """A sweep's trials by number."""
    return sa.select(trials).where(trials.c.sweep_id == sweep_id).order_by(trials.c.number)


def listed_trials_of(sweep_id: str | sa.BindParameter[str]) -> sa.Select[Any]:
    """A sweep's trials by number, without what only its sampler reads: it can be the most of a row."""
    shown = [
        sa.null().label(column.name) if column is trials.c.sampler_attrs else column for column in trials.c
    ]
    return sa.select(*shown).where(trials.c.sweep_id == sweep_id).order_by(trials.c.number)


def find_sweep(connection: Connection, sweep_id: str) -> SweepRecord:
    """The sweep of that id, or the only one whose id begins so.

    Raises:
        UnknownSweep: There is none, or more than one.
    """
    row = connection.execute(sa.select(sweeps).where(sweeps.c.sweep_id == sweep_id)).mappings().one_or_none()
    if row is not None:
        return rows.sweep_record(row)
    query = sa.select(sweeps).where(sweeps.c.sweep_id.startswith(sweep_id, autoescape=True)).limit(6)
    found = list(connection.execute(query).mappings()) if sweep_id else []
    if len(found) == 1:
        return rows.sweep_record(found[0])
    if found:
        raise UnknownSweep(
            f"more than one sweep begins with {sweep_id!r}",
            "one of " + ", ".join(row["sweep_id"] for row in found),
        )
    known = list(
        connection.execute(sa.select(sweeps.c.sweep_id).order_by(sweeps.c.created_at.desc())).scalars()
    )
    near = get_close_matches(sweep_id, known, n=3, cutoff=0.5) or known[:3]
    hint = "did you mean " + ", ".join(near) + "?" if near else "there is no sweep yet"
    raise UnknownSweep(f"no sweep {sweep_id!r}", hint)


def held_gpu_s(connection: Connection, sweep_id: str, unnoted: float) -> float:
    """Seconds of GPUs that a sweep's attempts held; `unnoted`: the share of those that note none."""
    return connection.execute(_HELD, {"of": sweep_id, "unnoted": unnoted}).scalar() or 0.0


def open_requests(connection: Connection, sweep_id: str) -> list[Request]:
    """What was asked of a sweep and is not carried out yet, in order."""
    return [rows.request(row) for row in connection.execute(_OPEN, {"of": sweep_id}).mappings()]


def lock_sweep(connection: Connection, sweep_id: str) -> SweepRecord:
    """The same, and nobody else changes it before the transaction ends.

    On SQLite every writer has the whole store to itself.

    Raises:
        UnknownSweep: There is none, or more than one.
    """
    found = find_sweep(connection, sweep_id).sweep_id
    connection.execute(sa.select(sweeps.c.sweep_id).where(sweeps.c.sweep_id == found).with_for_update())
    return find_sweep(connection, found)


def find_trial(connection: Connection, sweep_id: str, number: int) -> TrialRecord:
    """The trial of that number.

    Raises:
        WrongState: The sweep has none.
    """
    query = trials_of(sweep_id).where(trials.c.number == number)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise WrongState(f"sweep {sweep_id} has no trial {number}")
    return rows.trial_record(row)
