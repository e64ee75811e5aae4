"""How a sweep comes into the store, and what is learnt of its data afterwards."""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sweeps.core.states import SweepState
from sweeps.records import Claim, SweepRecord
from sweeps.store import rows, sql
from sweeps.store.answers import KeyReused
from sweeps.store.find import find_sweep, lock_sweep
from sweeps.store.submissions import Rank, submit
from sweeps.store.tables import beginnings, submissions, sweeps

if TYPE_CHECKING:
    from sweeps.core.spec import SweepSpec
    from sweeps.warm.plan import WarmPlan

_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"


def create_sweep(
    connection: Connection,
    spec: SweepSpec,
    fingerprint: str,
    *,
    base: str | None,
    warm: WarmPlan | None,
    by: str | None,
    key: str | None,
    rank: Rank | None,
    now: float,
) -> SweepRecord:
    """The body of `SweepService.create`."""
    from sweeps.core.spec import spec_document  # noqa: PLC0415  (pydantic models are slow to import)

    held = Claim(_new_id(spec.name, key), 0)
    row: dict[str, Any] = {
        "sweep_id": held.sweep_id,
        "name": spec.name,
        "state": SweepState.PENDING.value,
        "epoch": 0,
        "spec": spec_document(spec),
        "fingerprint": fingerprint,
        "created_at": now,
        "worker_s": 0.0,
        "active_s": 0.0,
    }
    if not sql.add_new(connection, sweeps, row):
        return find_sweep(connection, held.sweep_id)
    if base is not None or warm is not None:
        connection.execute(sa.insert(beginnings), rows.beginning_row(held.sweep_id, base, warm))
    sql.add_sweep_event(connection, held, "sweep.created", now, by=by)
    if rank is not None:
        submit(connection, held.sweep_id, by=by or "", now=now, priority=rank.priority, weight=rank.weight)
    return find_sweep(connection, held.sweep_id)


def check_same(connection: Connection, sweep: SweepRecord, spec: SweepSpec, rank: Rank | None) -> SweepRecord:
    """The sweep that a key stands for, if this is what it was made with.

    Raises:
        KeyReused: It was made with another spec or another rank.
    """
    t = submissions
    of = sa.select(t.c.priority, t.c.weight).where(t.c.sweep_id == sweep.sweep_id)
    had, wanted = connection.execute(of).one_or_none(), rank and (rank.priority, rank.weight)
    if sweep.spec != spec or (None if had is None else tuple(had)) != wanted:
        raise KeyReused(
            f"the idempotency key was used for sweep {sweep.sweep_id}, which is another one",
            "a new request takes a new key",
        )
    return sweep


def note_data(
    connection: Connection, sweep_id: str, fingerprint: str, *, base: str, now: float
) -> SweepRecord:
    """The body of `SweepService.note_data`."""
    sweep = lock_sweep(connection, sweep_id)
    if not sweep.fingerprint:
        update = sa.update(sweeps).where(sweeps.c.sweep_id == sweep.sweep_id)
        connection.execute(update, {"fingerprint": fingerprint})
        sql.add_new(connection, beginnings, {"sweep_id": sweep.sweep_id, "base": base})
        held = Claim(sweep.sweep_id, sweep.epoch)
        sql.add_sweep_event(connection, held, "sweep.data_read", now, {"fingerprint": fingerprint})
    return find_sweep(connection, sweep.sweep_id)


def _new_id(name: str, key: str | None) -> str:
    """By chance; under a key always the same, with as many letters as keep two keys apart."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].rstrip("-") or "sweep"
    if key is None:
        return f"{slug}-{''.join(secrets.choice(_LETTERS) for _ in range(6))}"
    digest = hashlib.sha256(key.encode()).digest()
    return f"{slug}-{''.join(_LETTERS[byte % 32] for byte in digest[:16])}"
