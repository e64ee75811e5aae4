"""Adds to a sweep's budget; the caller holds its row."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sweeps.core.budget import deadline_at, limits_of
from sweeps.core.errors import SpecInvalid, WrongState
from sweeps.core.extension import Extension, extended, joined, misfits
from sweeps.core.ranking import bounds_of, objectives_of
from sweeps.core.reopening import extension_refusal
from sweeps.core.states import SweepState
from sweeps.core.stops import Limit
from sweeps.ledger import Ledger
from sweeps.records import SweepRecord
from sweeps.store import rows
from sweeps.store.find import held_gpu_s, trials_of
from sweeps.store.given_up import was_given_up
from sweeps.store.tables import sweeps


def check_extension(connection: Connection, sweep: SweepRecord, more: Extension, now: float) -> None:
    """Refuses an extension that would not let the sweep go on.

    Raises:
        SpecInvalid: It does not fit the budget.
        WrongState: The sweep is in no state for it, or would end at once all the same.
    """
    subject = f"sweep {sweep.sweep_id}"
    given_up = was_given_up(connection, sweep)
    refused = extension_refusal(sweep.state, sweep.reason, sweep.stopped_by, more.limits, given_up=given_up)
    if refused is not None:
        raise WrongState(f"{subject} is {sweep.state}, {refused[0]}", refused[1])
    objectives = objectives_of(sweep.spec)
    issues = misfits(sweep.budget, dict(objectives), more)
    if issues:
        raise SpecInvalid(issues)
    moment = _deadline_at(sweep, more, now)
    if more.deadline is not None and sweep.deadline_at is not None and (moment or now) <= sweep.deadline_at:
        raise WrongState(f"{subject}: the next {more.deadline} is not later than its deadline is already")
    if sweep.state in (SweepState.PENDING, SweepState.RUNNING, SweepState.PAUSED):
        return
    trials = [rows.trial_record(row) for row in connection.execute(trials_of(sweep.sweep_id)).mappings()]
    ledger = Ledger(
        # one that has passed makes room for the next one when the sweep is resumed
        limits_of(extended(sweep.budget, more), objectives, moment if more.deadline else None),
        objectives,
        bounds_of(sweep.spec),
        share=lambda _: 0.0,  # nothing runs
        gpu_s=held_gpu_s(connection, sweep.sweep_id, unnoted=0.0),
        active_s=sweep.active_s,
        now=now,
        trials=trials,
    )
    stop = ledger.exhausted(now)
    if sweep.search_ended is None or sweep.stopped_by in (Limit.TARGET, Limit.NO_IMPROVEMENT):
        stop = stop or ledger.enough()  # else its finalists have something left to do
    if stop is not None:
        raise WrongState(f"{subject} would end at once all the same: {stop.reason}", "extend it by more")


def add(connection: Connection, sweep: SweepRecord, more: Extension, now: float) -> None:
    """Makes the sweep's budget so much larger."""
    whole = more if sweep.extension is None else joined(sweep.extension, more)
    values: dict[str, Any] = {"extension": whole.document(), "deadline_at": _deadline_at(sweep, more, now)}
    connection.execute(sa.update(sweeps).where(sweeps.c.sweep_id == sweep.sweep_id), values)


def _deadline_at(sweep: SweepRecord, more: Extension, now: float) -> float | None:
    """The moment of the deadline afterwards; None before the first driver, who looks at the clock."""
    if more.deadline is None or sweep.started_at is None:
        return sweep.deadline_at
    return deadline_at(more.deadline, now)
