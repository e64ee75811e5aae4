"""The sweep service: one method is one transaction.

Readers may be anybody. A driver claims a sweep, which gives it an epoch; each of its writes is fenced by it,
compares the old state before it sets the new one, and leaves an event.
"""

from __future__ import annotations

import os
import re
import secrets
import socket
from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from sweeps.core.errors import StaleEpoch, UnknownSweep, WrongState
from sweeps.core.states import AttemptState, SweepState, TrialState
from sweeps.core.trial import Decision, Measurement, Report, Suggestion
from sweeps.records import (
    AttemptRecord,
    Claim,
    CurveRecord,
    Driver,
    EventRecord,
    Outcome,
    SweepRecord,
    TrialRecord,
)
from sweeps.store import rows, sql
from sweeps.store.engine import reading, writing
from sweeps.store.tables import attempts, curves, events, measurements, sweeps, trials

if TYPE_CHECKING:
    from sweeps.core.spec import SweepSpec

_OPEN = (TrialState.QUEUED, TrialState.RUNNING)


class SweepService:
    """Sweeps, trials, attempts and what they measured, in a store whose schema is up to date.

    Args:
        engine: From `sweeps.store.engine.open_engine`.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def engine(self) -> Engine:
        """The store's engine."""
        return self._engine

    # -- reading

    def sweeps(self) -> list[SweepRecord]:
        """All sweeps, newest first."""
        with reading(self._engine) as connection:
            query = sa.select(sweeps).order_by(sweeps.c.created_at.desc(), sweeps.c.sweep_id)
            return [rows.sweep_record(row) for row in connection.execute(query).mappings()]

    def sweep(self, sweep_id: str) -> SweepRecord:
        """One sweep, by its id or by a prefix that only it has.

        Raises:
            UnknownSweep: None, or more than one, begins like that.
        """
        with reading(self._engine) as connection:
            return _sweep(connection, sweep_id)

    def trials(self, sweep_id: str) -> list[TrialRecord]:
        """A sweep's trials by number."""
        query = sa.select(trials).where(trials.c.sweep_id == sweep_id).order_by(trials.c.number)
        with reading(self._engine) as connection:
            return [rows.trial_record(row) for row in connection.execute(query).mappings()]

    def attempts(self, sweep_id: str) -> list[AttemptRecord]:
        """A sweep's attempts by trial and attempt."""
        t = attempts
        query = sa.select(t).where(t.c.sweep_id == sweep_id).order_by(t.c.number, t.c.attempt)
        with reading(self._engine) as connection:
            return [rows.attempt_record(row) for row in connection.execute(query).mappings()]

    def measurements(self, sweep_id: str, number: int | None = None) -> list[Measurement]:
        """What was measured at the rungs, by trial and iteration; of one trial if `number` is given."""
        t = measurements
        query = sa.select(t).where(t.c.sweep_id == sweep_id).order_by(t.c.number, t.c.iteration)
        if number is not None:
            query = query.where(t.c.number == number)
        with reading(self._engine) as connection:
            return [rows.measurement(row) for row in connection.execute(query).mappings()]

    def decisions(self, sweep_id: str) -> dict[tuple[int, int], Decision]:
        """What was decided at each rung, by (trial number, iteration)."""
        t = measurements
        query = sa.select(t.c.number, t.c.iteration, t.c.decision).where(t.c.sweep_id == sweep_id)
        with reading(self._engine) as connection:
            return {(number, at): Decision(said) for number, at, said in connection.execute(query)}

    def curves(self, sweep_id: str, number: int | None = None) -> list[CurveRecord]:
        """Training curves by trial, attempt and iteration; of one trial if `number` is given."""
        t = curves
        query = (
            sa.select(t).where(t.c.sweep_id == sweep_id).order_by(t.c.number, t.c.attempt, t.c.iteration)
        )
        if number is not None:
            query = query.where(t.c.number == number)
        with reading(self._engine) as connection:
            return [rows.curve_record(row) for row in connection.execute(query).mappings()]

    def events(self, sweep_id: str, after: int = 0) -> list[EventRecord]:
        """What happened, in order; only what came after the event with that id."""
        t = events
        query = sa.select(t).where(t.c.sweep_id == sweep_id, t.c.event_id > after).order_by(t.c.event_id)
        with reading(self._engine) as connection:
            return [rows.event_record(row) for row in connection.execute(query).mappings()]

    # -- a sweep's life

    def create(self, spec: SweepSpec, *, fingerprint: str, now: float) -> SweepRecord:
        """A PENDING sweep from a validated spec; `fingerprint` is the data set's."""
        from sweeps.core.spec import spec_document  # noqa: PLC0415  (pydantic models are slow to import)

        record = SweepRecord(
            sweep_id=_new_id(spec.name),
            name=spec.name,
            state=SweepState.PENDING,
            reason=None,
            epoch=0,
            spec=spec,
            fingerprint=fingerprint,
            created_at=now,
            started_at=None,
            ended_at=None,
            worker_s=0.0,
            active_s=0.0,
            driver=None,
        )
        with writing(self._engine) as connection:
            connection.execute(
                sa.insert(sweeps).values(
                    sweep_id=record.sweep_id,
                    name=record.name,
                    state=record.state.value,
                    epoch=0,
                    spec=spec_document(spec),
                    fingerprint=fingerprint,
                    created_at=now,
                    worker_s=0.0,
                    active_s=0.0,
                )
            )
            sql.add_event(connection, record.sweep_id, "sweep.created", 0, now)
        return record

    def claim(self, sweep_id: str, now: float, *, stale_after_s: float = 0.0) -> Claim:
        """Takes a sweep over: a new epoch, and whatever an older driver left RUNNING is QUEUED again.

        A sweep that was STOPPING stays so: its new driver has only to finish it.

        Args:
            sweep_id: An id or a unique prefix.
            now: Seconds since the Unix epoch.
            stale_after_s: A driver seen less than this many seconds ago is left alone.

        Raises:
            WrongState: The sweep has ended, or another driver is alive.
            StaleEpoch: Another driver claimed it at the same moment.
        """
        sweep = self.sweep(sweep_id)
        _check_claimable(sweep, now, stale_after_s)
        sweep_id, epoch = sweep.sweep_id, sweep.epoch + 1
        driver = Driver(socket.gethostname(), os.getpid(), now)
        values: dict[str, Any] = {
            "epoch": epoch,
            "beat_at": now,
            "driver_host": driver.host,
            "driver_pid": driver.pid,
        }
        if sweep.started_at is None:
            values["started_at"] = now
        with writing(self._engine) as connection:
            if not _take(connection, sweep, values):
                raise StaleEpoch(f"sweep {sweep_id}: another driver claimed epoch {epoch} first")
            claim = Claim(sweep_id, epoch)
            reason = f"the driver of epoch {sweep.epoch} is gone"
            requeued = _release_running(connection, claim, reason, now)
            data = {"host": driver.host, "pid": driver.pid, "requeued": requeued}
            sql.add_event(connection, sweep_id, "sweep.claimed", epoch, now, data=data)
        return claim

    def beat(self, claim: Claim, now: float) -> None:
        """A driver's sign of life; the only write without an event.

        Raises:
            StaleEpoch: Another driver has taken the sweep over.
        """
        with writing(self._engine) as connection:
            sql.fence(connection, claim, now)

    def finish(self, claim: Claim, state: SweepState, reason: str | None, now: float) -> None:
        """Leaves a sweep PAUSED, STOPPING or ended.

        What still runs is QUEUED again if the sweep is PAUSED; what is not done when the sweep ends is CANCELLED.

        Raises:
            StaleEpoch: Another driver has taken the sweep over.
            WrongState: The sweep's state does not allow it.
        """
        with writing(self._engine) as connection:
            sql.fence(connection, claim, now)
            old = _sweep(connection, claim.sweep_id).state
            values = {"reason": reason, "ended_at": now if state.terminal else None}
            if not sql.move_sweep(connection, claim.sweep_id, claim.epoch, old, state, values):
                raise StaleEpoch(f"sweep {claim.sweep_id} was changed by another driver")
            if state.terminal:
                _cancel_open(connection, claim, reason or f"the sweep is {state.value}", now)
            elif state is SweepState.PAUSED:
                _release_running(connection, claim, reason or "the sweep is paused", now)
            data = {"from": old.value, "reason": reason}
            kind = f"sweep.{state.value.lower()}"
            sql.add_event(connection, claim.sweep_id, kind, claim.epoch, now, data=data)

    # -- a trial's life

    def add_trial(
        self, claim: Claim, suggestion: Suggestion, sampler_attrs: Mapping[str, Any], now: float
    ) -> TrialRecord:
        """A new trial with its first attempt, both RUNNING.

        Raises:
            StaleEpoch: Another driver has taken the sweep over.
            WrongState: The sweep has a trial of that number.
        """
        row: dict[str, Any] = {
            "number": suggestion.number,
            "state": TrialState.RUNNING.value,
            "reason": None,
            "params": dict(suggestion.params),
            "seed": suggestion.seed,
            "attempt": 1,
            "failures": 0,
            "iteration": 0,
            "checkpoint": None,
            "checkpoint_iteration": 0,
            "worker_s": 0.0,
            "started_at": now,
            "ended_at": None,
            "sampler_attrs": dict(sampler_attrs),
            "metrics": {},
        }
        number = suggestion.number
        with writing(self._engine) as connection:
            sql.fence(connection, claim, now)
            try:
                connection.execute(sa.insert(trials).values(sweep_id=claim.sweep_id, **row))
            except sa.exc.IntegrityError as error:
                raise WrongState(f"sweep {claim.sweep_id} has a trial {number} already") from error
            sql.add_attempt(connection, claim, number, 1, 0, now)
            data = {"params": row["params"]}
            sql.add_event(
                connection, claim.sweep_id, "trial.started", claim.epoch, now, number=number, attempt=1, data=data
            )
        return rows.trial_record(row)

    def start_attempt(self, claim: Claim, number: int, now: float) -> TrialRecord:
        """QUEUED to RUNNING: the next attempt, from the trial's checkpoint.

        Raises:
            StaleEpoch: Another driver has taken the sweep over.
            WrongState: The trial is not QUEUED.
        """
        with writing(self._engine) as connection:
            sql.fence(connection, claim, now)
            trial = _trial(connection, claim.sweep_id, number)
            attempt, start = trial.attempt + 1, trial.checkpoint_iteration
            values = {"attempt": attempt, "iteration": start, "reason": None}
            moved = sql.move_trial(
                connection, claim.sweep_id, number, trial.attempt, trial.state, TrialState.RUNNING, values
            )
            if not moved or trial.state is not TrialState.QUEUED:
                raise WrongState(f"trial {number} of sweep {claim.sweep_id} is {trial.state.value}, not QUEUED")
            sql.add_attempt(connection, claim, number, attempt, start, now)
            data = {"iteration": start, "checkpoint": trial.checkpoint}
            sql.add_event(
                connection,
                claim.sweep_id,
                "trial.started",
                claim.epoch,
                now,
                number=number,
                attempt=attempt,
                data=data,
            )
        return replace(trial, state=TrialState.RUNNING, attempt=attempt, iteration=start, reason=None)

    def record(
        self,
        claim: Claim,
        report: Report,
        *,
        outcome: Outcome,
        sampler_attrs: Mapping[str, Any] | None,
        now: float,
    ) -> bool:
        """Takes a report and what the driver made of it into the store, all or nothing.

        A rung's first measurement wins: a later one, of a retried attempt, is dropped and leaves the trial's
        metrics as they are. Values that are NaN or infinite are dropped.

        Args:
            claim: The driver's licence.
            report: From a worker. One with a failure and the outcome QUEUED is a retry.
            outcome: The state to go to, the reason, and what the worker is told.
            sampler_attrs: The trial's new ones, or None to keep them.
            now: Seconds since the Unix epoch.

        Returns:
            False, with nothing changed, if the trial is not RUNNING this attempt any more: a late report.

        Raises:
            StaleEpoch: Another driver has taken the sweep over.
            WrongState: RUNNING trials cannot go to the outcome's state.
        """
        try:
            with writing(self._engine) as connection:
                sql.fence(connection, claim, now, report.worker_s)
                _record(connection, claim, report, outcome, sampler_attrs, now)
        except _LateReport:
            return False
        return True

    def cancel_queued(self, claim: Claim, number: int, reason: str, now: float) -> None:
        """QUEUED to CANCELLED: a trial that will get no further attempt.

        Raises:
            StaleEpoch: Another driver has taken the sweep over.
            WrongState: The trial is not QUEUED.
        """
        with writing(self._engine) as connection:
            sql.fence(connection, claim, now)
            trial = _trial(connection, claim.sweep_id, number)
            if trial.state is not TrialState.QUEUED:
                raise WrongState(f"trial {number} of sweep {claim.sweep_id} is {trial.state.value}, not QUEUED")
            _cancel(connection, claim, trial, reason, now)


class _LateReport(Exception):
    """Rolls a late report's transaction back."""


def _new_id(name: str) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].rstrip("-") or "sweep"
    return f"{slug}-{''.join(secrets.choice('abcdefghijklmnopqrstuvwxyz234567') for _ in range(6))}"


def _sweep(connection: Connection, sweep_id: str) -> SweepRecord:
    row = connection.execute(sa.select(sweeps).where(sweeps.c.sweep_id == sweep_id)).mappings().one_or_none()
    if row is not None:
        return rows.sweep_record(row)
    query = sa.select(sweeps).where(sweeps.c.sweep_id.startswith(sweep_id, autoescape=True)).limit(6)
    found = list(connection.execute(query).mappings()) if sweep_id else []
    if len(found) == 1:
        return rows.sweep_record(found[0])
    if found:
        raise UnknownSweep(
            f"more than one sweep begins with {sweep_id!r}", "one of " + ", ".join(row["sweep_id"] for row in found)
        )
    known = list(connection.execute(sa.select(sweeps.c.sweep_id).order_by(sweeps.c.created_at.desc())).scalars())
    near = get_close_matches(sweep_id, known, n=3, cutoff=0.5) or known[:3]
    hint = "did you mean " + ", ".join(near) + "?" if near else "there is no sweep yet"
    raise UnknownSweep(f"no sweep {sweep_id!r}", hint)


def _trial(connection: Connection, sweep_id: str, number: int) -> TrialRecord:
    query = sa.select(trials).where(trials.c.sweep_id == sweep_id, trials.c.number == number)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise WrongState(f"sweep {sweep_id} has no trial {number}")
    return rows.trial_record(row)


def _check_claimable(sweep: SweepRecord, now: float, stale_after_s: float) -> None:
    if sweep.state.terminal:
        raise WrongState(
            f"sweep {sweep.sweep_id} is {sweep.state.value}: nothing is left to run", "start another one"
        )
    driver = sweep.driver
    if driver is None or sweep.state not in (SweepState.RUNNING, SweepState.STOPPING):
        return
    silent_s = now - driver.beat_at
    if silent_s < stale_after_s:
        raise WrongState(
            f"sweep {sweep.sweep_id} is being run by another driver "
            f"(pid {driver.pid} on {driver.host}, seen {max(0.0, silent_s):.0f} s ago)",
            f"stop that one, or try again once it has been silent for {stale_after_s:.0f} s",
        )


def _take(connection: Connection, sweep: SweepRecord, values: Mapping[str, Any]) -> bool:
    """The compare-and-set of a claim."""
    if sweep.state in (SweepState.PENDING, SweepState.PAUSED):
        values = {**values, "reason": None}
        return sql.move_sweep(
            connection, sweep.sweep_id, sweep.epoch, sweep.state, SweepState.RUNNING, values
        )
    statement = sa.update(sweeps).where(
        sweeps.c.sweep_id == sweep.sweep_id, sweeps.c.epoch == sweep.epoch, sweeps.c.state == sweep.state.value
    )
    return connection.execute(statement.values(**values)).rowcount == 1


def _record(
    connection: Connection,
    claim: Claim,
    report: Report,
    outcome: Outcome,
    sampler_attrs: Mapping[str, Any] | None,
    now: float,
) -> None:
    sweep_id, number, attempt = claim.sweep_id, report.number, report.attempt
    key = {"sweep_id": sweep_id, "number": number}
    metrics = None if report.metrics is None else rows.finite(report.metrics)
    measured = metrics is not None and sql.add_measurement(
        connection,
        {
            **key,
            "iteration": report.iteration,
            "attempt": attempt,
            "at": report.at,
            "metrics": metrics,
            "decision": outcome.decision.value,
        },
    )
    values = _progress(report, outcome, now)
    if measured:
        values["metrics"] = metrics
    if sampler_attrs is not None:
        values["sampler_attrs"] = dict(sampler_attrs)
    if not sql.move_trial(connection, sweep_id, number, attempt, TrialState.RUNNING, outcome.state, values):
        raise _LateReport
    state = _attempt_state(report, outcome)
    values = {"iteration": report.iteration, "worker_s": attempts.c.worker_s + report.worker_s}
    if report.facts is not None:
        values["facts"] = rows.facts_document(report.facts)
    if state is not AttemptState.RUNNING:
        values |= {"reason": outcome.reason, "ended_at": now}
    if not sql.move_attempt(connection, sweep_id, number, attempt, state, values):
        raise _LateReport
    if report.curve:
        points = [
            {**key, "attempt": attempt, "iteration": p.iteration, "at": p.at, "values": rows.finite(p.values)}
            for p in report.curve
        ]
        sql.put_curve(connection, points)
    kind, data = _told(report, outcome, measured)
    sql.add_event(connection, sweep_id, kind, claim.epoch, now, number=number, attempt=attempt, data=data)


def _progress(report: Report, outcome: Outcome, now: float) -> dict[str, Any]:
    """The trial's columns after a report."""
    failed, back = report.failure is not None, outcome.state is TrialState.QUEUED
    values: dict[str, Any] = {
        "worker_s": trials.c.worker_s + report.worker_s,
        "reason": outcome.reason,
        "iteration": report.iteration,
    }
    if report.checkpoint is not None:
        values |= {"checkpoint": report.checkpoint, "checkpoint_iteration": report.iteration}
    elif back:
        values["iteration"] = trials.c.checkpoint_iteration  # what came after the checkpoint is done again
    if failed:
        values["failures"] = trials.c.failures + 1
    if outcome.state.terminal:
        values["ended_at"] = now
    return values


def _attempt_state(report: Report, outcome: Outcome) -> AttemptState:
    if outcome.state is TrialState.RUNNING:
        return AttemptState.RUNNING
    if outcome.state is TrialState.QUEUED:
        return AttemptState.PAUSED if report.failure is None else AttemptState.LOST
    return AttemptState.ENDED


def _told(report: Report, outcome: Outcome, measured: bool) -> tuple[str, dict[str, Any]]:
    """An event's kind and data."""
    data: dict[str, Any] = {"iteration": report.iteration}
    if report.metrics is not None:
        data |= {"decision": outcome.decision.value, "measured": measured}
    if report.checkpoint is not None:
        data["checkpoint"] = report.checkpoint
    if outcome.reason is not None:
        data["reason"] = outcome.reason
    if report.failure is not None:
        failure = report.failure
        data["failure"] = {"kind": failure.kind.value, "message": failure.message, "detail": failure.detail}
    if outcome.state is TrialState.RUNNING:
        return ("trial.measured" if measured else "trial.progressed"), data
    return f"trial.{outcome.state.value.lower()}", data


def _release_running(connection: Connection, claim: Claim, reason: str, now: float) -> list[int]:
    """RUNNING trials are QUEUED again and their attempts LOST; their numbers."""
    sweep_id = claim.sweep_id
    query = sa.select(trials.c.number, trials.c.attempt).where(
        trials.c.sweep_id == sweep_id, trials.c.state == TrialState.RUNNING.value
    )
    released = connection.execute(query.order_by(trials.c.number)).all()
    back = {"reason": reason, "iteration": trials.c.checkpoint_iteration}
    for number, attempt in released:
        sql.move_trial(connection, sweep_id, number, attempt, TrialState.RUNNING, TrialState.QUEUED, back)
        ended = {"reason": reason, "ended_at": now}
        sql.move_attempt(connection, sweep_id, number, attempt, AttemptState.LOST, ended)
        data = {"reason": reason}
        sql.add_event(
            connection, sweep_id, "trial.queued", claim.epoch, now, number=number, attempt=attempt, data=data
        )
    return [number for number, _ in released]


def _cancel_open(connection: Connection, claim: Claim, reason: str, now: float) -> None:
    query = sa.select(trials).where(
        trials.c.sweep_id == claim.sweep_id, trials.c.state.in_([state.value for state in _OPEN])
    )
    for row in connection.execute(query.order_by(trials.c.number)).mappings().all():
        _cancel(connection, claim, rows.trial_record(row), reason, now)


def _cancel(connection: Connection, claim: Claim, trial: TrialRecord, reason: str, now: float) -> None:
    sweep_id, number, attempt = claim.sweep_id, trial.number, trial.attempt
    ended = {"reason": reason, "ended_at": now}
    sql.move_trial(connection, sweep_id, number, attempt, trial.state, TrialState.CANCELLED, ended)
    if trial.state is TrialState.RUNNING:
        sql.move_attempt(connection, sweep_id, number, attempt, AttemptState.ENDED, ended)
    data = {"from": trial.state.value, "reason": reason}
    sql.add_event(
        connection, sweep_id, "trial.cancelled", claim.epoch, now, number=number, attempt=attempt, data=data
    )
