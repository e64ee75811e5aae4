"""Reads the store: anybody may, at any time, and blocks no writer."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from sweeps.core.details import EvaluationDetails, details_from_document
from sweeps.core.requests import Request
from sweeps.core.trial import Decision, Measurement
from sweeps.records import AttemptRecord, CurveRecord, EventRecord, SweepRecord, TrialRecord
from sweeps.store import rows
from sweeps.store.engine import Patience, impatient, reading
from sweeps.store.find import find_sweep, held_gpu_s, open_requests, trials_of
from sweeps.store.night_sweeps import schedule_sweeps
from sweeps.store.readable import readable_sweep
from sweeps.store.submissions import notes
from sweeps.store.tables import attempts, beginnings, curves, details, events, measurements, requests, sweeps
from sweeps.warm.plan import WarmPlan, WarmSummary, plan_from_documents, summary_from_document


class StoreReader:
    """Sweeps, trials, attempts and what they measured, as the store has them.

    Args:
        engine: Of a store whose schema is up to date.
        patience: What is done while the store does not answer.
    """

    def __init__(self, engine: Engine, patience: Patience = impatient) -> None:
        self._engine, self._patience = engine, patience

    @property
    def engine(self) -> Engine:
        """The store's engine."""
        return self._engine

    def sweeps(self) -> list[SweepRecord]:
        """All sweeps that can be read, newest first."""
        with reading(self._engine, self._patience) as connection:
            query = sa.select(sweeps).order_by(sweeps.c.created_at.desc(), sweeps.c.sweep_id)
            return [sweep for row in connection.execute(query).mappings() if (sweep := readable_sweep(row))]

    def sweep(self, sweep_id: str) -> SweepRecord:
        """One sweep, by its id or by a prefix that only it has.

        Raises:
            UnknownSweep: None, or more than one, begins like that.
        """
        with reading(self._engine, self._patience) as connection:
            return find_sweep(connection, sweep_id)

    def trials(self, sweep_id: str) -> list[TrialRecord]:
        """A sweep's trials by number."""
        with reading(self._engine, self._patience) as connection:
            return [rows.trial_record(row) for row in connection.execute(trials_of(sweep_id)).mappings()]

    def attempts(self, sweep_id: str) -> list[AttemptRecord]:
        """A sweep's attempts by trial and attempt."""
        t = attempts
        query = sa.select(t).where(t.c.sweep_id == sweep_id).order_by(t.c.number, t.c.attempt)
        with reading(self._engine, self._patience) as connection:
            return [rows.attempt_record(row) for row in connection.execute(query).mappings()]

    def gpu_s(self, sweep_id: str, *, unnoted: float) -> float:
        """Seconds of GPUs that a sweep's attempts held; `unnoted`: the share of those that note none."""
        with reading(self._engine, self._patience) as connection:
            return held_gpu_s(connection, sweep_id, unnoted)

    def measurements(self, sweep_id: str, number: int | None = None) -> list[Measurement]:
        """What was measured at the rungs, by trial and iteration; of one trial if `number` is given."""
        t = measurements
        query = sa.select(t).where(t.c.sweep_id == sweep_id).order_by(t.c.number, t.c.iteration)
        if number is not None:
            query = query.where(t.c.number == number)
        with reading(self._engine, self._patience) as connection:
            return [rows.measurement(row) for row in connection.execute(query).mappings()]

    def decisions(self, sweep_id: str) -> dict[tuple[int, int], Decision]:
        """What was decided at each rung, by (trial number, iteration)."""
        t = measurements
        query = sa.select(t.c.number, t.c.iteration, t.c.decision).where(t.c.sweep_id == sweep_id)
        with reading(self._engine, self._patience) as connection:
            return {(number, at): Decision(said) for number, at, said in connection.execute(query)}

    def details(self, sweep_id: str, number: int) -> dict[int, EvaluationDetails]:
        """What a trial's evaluations told beyond their metrics, by ascending iteration of the rung."""
        t = details
        query = sa.select(t.c.iteration, t.c.document).where(t.c.sweep_id == sweep_id, t.c.number == number)
        with reading(self._engine, self._patience) as connection:
            found = connection.execute(query.order_by(t.c.iteration))
            return {iteration: details_from_document(document) for iteration, document in found}

    def curves(self, sweep_id: str, number: int | None = None) -> list[CurveRecord]:
        """Training curves by trial, attempt and iteration; of one trial if `number` is given."""
        t = curves
        query = sa.select(t).where(t.c.sweep_id == sweep_id).order_by(t.c.number, t.c.attempt, t.c.iteration)
        if number is not None:
            query = query.where(t.c.number == number)
        with reading(self._engine, self._patience) as connection:
            return [rows.curve_record(row) for row in connection.execute(query).mappings()]

    def events(self, sweep_id: str, after: int = 0) -> list[EventRecord]:
        """What happened, in order; only what came after the event with that id."""
        t = events
        query = sa.select(t).where(t.c.sweep_id == sweep_id, t.c.event_id > after).order_by(t.c.event_id)
        with reading(self._engine, self._patience) as connection:
            return [rows.event_record(row) for row in connection.execute(query).mappings()]

    def notes(self) -> dict[str, str]:
        """What a person should know of sweeps that a service runs, by their ids: mostly there is nothing."""
        with reading(self._engine, self._patience) as connection:
            return notes(connection)

    def base_fingerprint(self, sweep_id: str) -> str | None:
        """Of the base's config and weights when a sweep was created; None if that was not recorded."""
        query = sa.select(beginnings.c.base).where(beginnings.c.sweep_id == sweep_id)
        with reading(self._engine) as connection:
            return connection.execute(query).scalar_one_or_none()

    def schedule_sweeps(self, name: str) -> list[SweepRecord] | None:
        """The sweeps of a schedule's latest nights, the latest first; None if there is no such schedule."""
        with reading(self._engine, self._patience) as connection:
            return schedule_sweeps(connection, name)

    def warm_summary(self, sweep_id: str) -> WarmSummary | None:
        """What a sweep took over from earlier ones, in short; None if it began cold."""
        query = sa.select(beginnings.c.warm_summary).where(beginnings.c.sweep_id == sweep_id)
        with reading(self._engine) as connection:
            document = connection.execute(query).scalar_one_or_none()
        return None if document is None else summary_from_document(document)

    def warm_plan(self, sweep_id: str) -> WarmPlan | None:
        """All that a sweep took over from earlier ones; None if it began cold."""
        columns = beginnings.c.warm_summary, beginnings.c.warm_trials
        query = sa.select(*columns).where(beginnings.c.sweep_id == sweep_id)
        with reading(self._engine) as connection:
            row = connection.execute(query).one_or_none()
        if row is None or row.warm_summary is None:
            return None
        return plan_from_documents(row.warm_summary, row.warm_trials)

    def requests(self, sweep_id: str) -> list[Request]:
        """What was asked of a sweep, in order."""
        query = sa.select(requests).where(requests.c.sweep_id == sweep_id).order_by(requests.c.request_id)
        with reading(self._engine) as connection:
            return [rows.request(row) for row in connection.execute(query).mappings()]

    def open_requests(self, sweep_id: str) -> list[Request]:
        """What was asked of a sweep and is not carried out yet; cheap, for a driver looks often."""
        with reading(self._engine) as connection:
            return open_requests(connection, sweep_id)
