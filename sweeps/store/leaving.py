"""How a driver leaves a sweep, and how one that has ended is opened again."""

from typing import Any

from sqlalchemy.engine import Connection

from sweeps.core.errors import WrongState
from sweeps.core.requests import RequestKind
from sweeps.core.states import SweepState, TrialState
from sweeps.core.stops import Limit
from sweeps.records import Claim, SweepRecord
from sweeps.store import rows, sql
from sweeps.store.asked import answer, open_request, overruled
from sweeps.store.find import find_sweep, trials_of
from sweeps.store.handover import end_open, release_running
from sweeps.store.tables import trials

_BY_LIMIT = (SweepState.STOPPING, SweepState.COMPLETED, SweepState.FAILED)


def leave(
    connection: Connection,
    claim: Claim,
    state: SweepState,
    reason: str | None,
    now: float,
    *,
    limit: Limit | None,
) -> SweepState:
    """The body of `SweepService.finish`, after the fence.

    Raises:
        WrongState: The sweep's state does not allow it.
    """
    sweep = find_sweep(connection, claim.sweep_id)
    old = sweep.state
    left, why = overruled(connection, claim.sweep_id, state, reason)
    if left is old:
        raise WrongState(f"sweep {claim.sweep_id} is {old.value} already")
    again = sweep.search_ended is not None  # finalists run again: what was added waits for the end
    stopped_by = (limit or sweep.stopped_by) if left in _BY_LIMIT or again else None
    more = open_request(connection, claim.sweep_id, RequestKind.EXTEND) if stopped_by else None
    if left is SweepState.STOPPING and more is not None and not again:
        return old
    values: dict[str, Any] = {"reason": why, "ended_at": now if left.terminal else None}
    sql.move_sweep(connection, claim, old, left, {**values, "stopped_by": stopped_by})
    if left.terminal:
        end_open(connection, claim, left, why or f"the sweep is {left.value}", now)
    elif left is SweepState.PAUSED:
        release_running(connection, claim, why or "the sweep is paused", now, held_until=now)
    data = {"from": old.value, "reason": why}
    sql.add_sweep_event(connection, claim, f"sweep.{left.value.lower()}", now, data)
    if left is SweepState.STOPPING:
        return left
    if more is not None and left is not SweepState.CANCELLED and (left.terminal or again):
        reopen(connection, claim, left, f"extended by {more.by}: {more.reason}", now, by=more.by)
        left = SweepState.PAUSED
    answer(connection, claim.sweep_id, left, now)
    return left


def reopen(
    connection: Connection, held: Claim, state: SweepState, reason: str, now: float, *, by: str
) -> None:
    """A sweep that a limit ended, and is extended, is PAUSED; the trials that were cut off wait again.

    So does one that is PAUSED already, with its search ended. The caller holds the sweep's row.
    `by` says who asked for it.
    """
    values = {"reason": reason, "ended_at": None, "stopped_by": None, "search_ended": None}
    if state is SweepState.PAUSED:
        sql.move_sweep(connection, held, state, state, values)
    else:
        sql.reopen_sweep(connection, held, state, values)
    cut_off = trials_of(held.sweep_id).where(trials.c.state == TrialState.CANCELLED.value)
    for row in connection.execute(cut_off).mappings().all():
        trial = rows.trial_record(row)
        key = sql.Key(held.sweep_id, trial.number, trial.attempt)
        sql.reopen_trial(connection, key, trial.state, {"reason": reason, "ended_at": None})
        data = {"from": trial.state.value, "reason": reason}
        sql.add_trial_event(connection, held, key, "trial.queued", now, data=data)
    data = {"from": state.value, "reason": reason}
    sql.add_sweep_event(connection, held, "sweep.reopened", now, data, by=by)


def deadline_of(sweep: SweepRecord, now: float) -> float | None:
    """The moment of a sweep's deadline, seen by a driver that claims it now."""
    from sweeps.core.budget import deadline_at  # noqa: PLC0415  (pydantic models are slow to import)

    text = sweep.budget.deadline
    if text is None:
        return None
    if sweep.deadline_at is None:
        return deadline_at(text, now if sweep.started_at is None else sweep.started_at)
    passed = sweep.state is SweepState.PAUSED and sweep.deadline_at <= now
    return deadline_at(text, now) if passed else sweep.deadline_at
