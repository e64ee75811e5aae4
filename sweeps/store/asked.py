"""Requests of a sweep: writing them down, answering them, and carrying them out where nobody drives."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sweeps.core.errors import StaleEpoch
from sweeps.core.requests import AIMS, Request, RequestKind, RequestState
from sweeps.core.states import SweepState
from sweeps.records import Claim, SweepRecord
from sweeps.store import rows, sql
from sweeps.store.handover import cancel_open, release_running
from sweeps.store.tables import requests


def open_request(connection: Connection, sweep_id: str, kind: RequestKind) -> Request | None:
    """The request of that kind that waits for a sweep's driver, or None."""
    query = sa.select(requests).where(
        requests.c.sweep_id == sweep_id,
        requests.c.state == RequestState.OPEN.value,
        requests.c.kind == kind.value,
    )
    row = connection.execute(query).mappings().first()
    return None if row is None else rows.request(row)


def find_request(connection: Connection, request_id: int) -> Request:
    """A request that was made."""
    query = sa.select(requests).where(requests.c.request_id == request_id)
    return rows.request(connection.execute(query).mappings().one())


def find_key(connection: Connection, sweep_id: str, key: str | None) -> Request | None:
    """The request of a sweep that was made under that key, or None."""
    if key is None:
        return None
    query = sa.select(requests).where(requests.c.sweep_id == sweep_id, requests.c.key == key)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else rows.request(row)


def write_down(
    connection: Connection,
    sweep: SweepRecord,
    kind: RequestKind,
    reason: str,
    *,
    by: str,
    now: float,
    extension: Mapping[str, Any] | None = None,
    key: str | None = None,
) -> Request:
    """A new OPEN request, and the event that tells of it."""
    row: dict[str, Any] = {
        "sweep_id": sweep.sweep_id,
        "kind": kind.value,
        "state": RequestState.OPEN.value,
        "reason": reason,
        "by": by,
        "at": now,
        "extension": extension,
        "key": key,
    }
    (request_id,) = connection.execute(sa.insert(requests), row).inserted_primary_key or (0,)
    data: dict[str, Any] = {"request_id": request_id, "by": by, "reason": reason}
    told = f"sweep.{kind.value}_asked"
    if extension is not None:
        told, data["extension"] = "sweep.extended", extension
    sql.add_sweep_event(connection, Claim(sweep.sweep_id, sweep.epoch), told, now, data)
    return find_request(connection, request_id)


def overruled(
    connection: Connection, sweep_id: str, state: SweepState, reason: str | None
) -> tuple[SweepState, str | None]:
    """What a driver's leaving comes to: a sweep that it leaves PAUSED is CANCELLED if that was asked for."""
    wish = open_request(connection, sweep_id, RequestKind.CANCEL) if state is SweepState.PAUSED else None
    return (state, reason) if wish is None else (SweepState.CANCELLED, wish.reason)


def answer(connection: Connection, sweep_id: str, state: SweepState, now: float) -> None:
    """Closes what is OPEN: the sweep has come to a state that its driver leaves it in."""
    for kind, aim in AIMS.items():
        close(connection, sweep_id, kind, RequestState.DONE if state is aim else RequestState.VOID, now)
    useful = state is SweepState.PAUSED
    extended = RequestState.DONE if useful else RequestState.VOID
    close(connection, sweep_id, RequestKind.EXTEND, extended, now)


def close(connection: Connection, sweep_id: str, kind: RequestKind, stands: RequestState, now: float) -> None:
    """Answers what is OPEN of a kind."""
    waiting = sa.update(requests).where(
        requests.c.sweep_id == sweep_id,
        requests.c.state == RequestState.OPEN.value,
        requests.c.kind == kind.value,
    )
    connection.execute(waiting, {"state": stands.value, "answered_at": now})


def carry_out(
    connection: Connection, sweep: SweepRecord, kind: RequestKind, reason: str, now: float, *, by: str
) -> None:
    """Does to a sweep that nobody drives what was asked, under an epoch of its own.

    So a driver that was taken for dead finds its epoch over. What such a driver left RUNNING was lost, and is
    QUEUED or CANCELLED.

    Raises:
        StaleEpoch: A driver claimed the sweep at the same moment.
    """
    claim, aim = Claim(sweep.sweep_id, sweep.epoch + 1), AIMS[kind]
    ended_at = now if aim.terminal else None
    values: dict[str, Any] = {"epoch": claim.epoch, "reason": reason, "ended_at": ended_at}
    if aim.terminal:
        values["stopped_by"] = None
    held = Claim(sweep.sweep_id, sweep.epoch)
    if not sql.move_sweep(connection, held, sweep.state, aim, values):
        raise StaleEpoch(f"sweep {sweep.sweep_id}: a driver claimed it at the same moment")
    gone = f"the driver of epoch {sweep.epoch} is gone"
    until = sweep.driver.beat_at if sweep.driver else now
    release_running(connection, claim, gone, now, held_until=until)
    if aim.terminal:
        cancel_open(connection, claim, reason, now)
    data = {"from": sweep.state.value, "reason": reason}
    sql.add_sweep_event(connection, claim, f"sweep.{aim.value.lower()}", now, data, by=by)
    answer(connection, sweep.sweep_id, aim, now)
