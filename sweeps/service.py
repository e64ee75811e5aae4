"""The sweep service: one method is one transaction.

Reading is `sweeps.store.reader`, here is what changes the store. A driver claims a sweep, which gives it an
epoch; each of its writes is fenced by it, compares the old state before it sets the new one, and leaves an
event.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy.engine import Connection, Engine

from sweeps.core.errors import StaleEpoch, WrongState
from sweeps.core.requests import RequestKind, RequestState
from sweeps.core.states import SweepState, TrialState
from sweeps.core.stops import Limit
from sweeps.core.trial import Report, Suggestion
from sweeps.records import Claim, Driver, Outcome, SweepRecord, TrialRecord
from sweeps.store import rows, sql
from sweeps.store.asked import close
from sweeps.store.creating import check_same, create_sweep, note_data
from sweeps.store.engine import Patience, impatient
from sweeps.store.find import find_sweep, find_trial, lock_sweep
from sweeps.store.handover import cancel, check_claimable, release_running, take
from sweeps.store.leaving import deadline_of, leave
from sweeps.store.reader import StoreReader
from sweeps.store.reports import LateReportError, take_report
from sweeps.store.submissions import Rank, check_free
from sweeps.store.write import write

if TYPE_CHECKING:
    from sweeps.core.spec import SweepSpec
    from sweeps.warm.plan import WarmPlan

_T = TypeVar("_T")


class SweepService(StoreReader):
    """Everything that may be done to a store: what `StoreReader` reads, and every write.

    What takes a claim raises StaleEpoch if another driver has taken the sweep over, and WrongState if this
    one has left it PAUSED or ended; nothing is changed then.

    Args:
        engine: From `sweeps.store.engine.open_engine`.
        patience: What is done while the store does not answer. A write that is tried again takes effect once.
        launched: Whether the process was started by a supervisor: it claims nothing that was paused since.
    """

    def __init__(self, engine: Engine, patience: Patience = impatient, *, launched: bool = False) -> None:
        super().__init__(engine, patience)
        self.launched = launched

    # -- a sweep's life

    def create(
        self,
        spec: SweepSpec,
        *,
        fingerprint: str,
        now: float,
        base: str | None = None,
        warm: WarmPlan | None = None,
        by: str | None = None,
        key: str | None = None,
        rank: Rank | None = None,
    ) -> SweepRecord:
        """A PENDING sweep.

        Args:
            spec: Validated.
            fingerprint: Of the data set; empty where only its driver can read it, which notes it then.
            now: Seconds since the Unix epoch.
            base: The fingerprint of the base's config and weights, if it is known.
            warm: What it takes over from earlier sweeps; kept as it is, whatever becomes of them.
            by: Who creates it, for its first event.
            key: Names this creation, so that it happens once however often it is asked for.
            rank: Where it waits for a driver that a service starts; None: whoever creates it drives it.

        Raises:
            KeyReused: The key stands for a sweep with another spec or rank.
            UserError: The rank is out of its range.
        """

        def create(connection: Connection) -> SweepRecord:
            sweep = create_sweep(
                connection, spec, fingerprint, base=base, warm=warm, by=by, key=key, rank=rank, now=now
            )
            return sweep if key is None else check_same(connection, sweep, spec, rank)

        return self._write(create)

    def note_data(self, sweep_id: str, *, fingerprint: str, base: str, now: float) -> SweepRecord:
        """The sweep with what its data was found to be by who read it first; known already, it stays.

        Raises:
            UnknownSweep: There is no such sweep.
        """

        return self._write(
            lambda connection: note_data(connection, sweep_id, fingerprint, base=base, now=now)
        )

    def check_claimable(
        self, sweep_id: str, now: float, *, stale_after_s: float, is_dead: Callable[[Driver], bool]
    ) -> None:
        """Refuses what `claim` would refuse as things are, before anything costly is started for it.

        Raises:
            WrongState: As `claim` does.
        """
        check_claimable(self.sweep(sweep_id), now, stale_after_s, is_dead)

    def claim(
        self,
        sweep_id: str,
        now: float,
        *,
        stale_after_s: float = 0.0,
        is_dead: Callable[[Driver], bool] = lambda _: False,
    ) -> Claim:
        """Takes a sweep over: a new epoch, and whatever an older driver left RUNNING is QUEUED again.

        A sweep that was STOPPING stays so: its new driver has only to finish it. Where the deadline of a
        PAUSED one has passed, the next such moment takes its place: who resumes it means to go on.

        Args:
            sweep_id: An id or a unique prefix.
            now: Seconds since the Unix epoch.
            stale_after_s: A driver seen less than this many seconds ago is left alone,
            is_dead: unless it is known to be gone. Asked of whoever holds the sweep at this moment.

        Raises:
            WrongState: The sweep has ended, another driver is alive, or this one was launched and not to be.
            StaleEpoch: Another driver claimed it at the same moment.
        """
        host, pid = socket.gethostname(), os.getpid()

        def body(connection: Connection) -> Claim:
            sweep = lock_sweep(connection, sweep_id)
            check_claimable(sweep, now, stale_after_s, is_dead)
            if self.launched:
                check_free(connection, sweep)
            claim = Claim(sweep.sweep_id, sweep.epoch + 1)
            values: dict[str, Any] = {
                "epoch": claim.epoch,
                "beat_at": now,
                "driver_host": host,
                "driver_pid": pid,
                "started_at": now if sweep.started_at is None else sweep.started_at,
                "deadline_at": deadline_of(sweep, now),
            }
            if not take(connection, sweep, values):
                raise StaleEpoch(f"sweep {claim.sweep_id}: another driver was faster to claim it")
            reason = f"the driver of epoch {sweep.epoch} is gone"
            requeued = release_running(
                connection, claim, reason, now, held_until=sweep.driver.beat_at if sweep.driver else now
            )
            data = {"host": host, "pid": pid, "requeued": requeued}
            if values["deadline_at"] != sweep.deadline_at:
                data["deadline_at"] = values["deadline_at"]
            sql.add_sweep_event(connection, claim, "sweep.claimed", now, data)
            if sweep.state is not SweepState.STOPPING and sweep.search_ended is None:
                close(connection, claim.sweep_id, RequestKind.EXTEND, RequestState.DONE, now)
            return claim

        return self._write(body)

    def beat(self, claim: Claim, now: float) -> None:
        """A driver's sign of life; the only write without an event."""
        self._write(lambda connection: sql.fence(connection, claim, now))

    def finish(
        self,
        claim: Claim,
        state: SweepState,
        reason: str | None,
        now: float,
        *,
        limit: Limit | None = None,
    ) -> SweepState:
        """Leaves a sweep PAUSED, STOPPING or ended.

        What still runs is QUEUED again if the sweep is PAUSED; what is open when it ends is CANCELLED. A
        sweep that would be PAUSED, and that somebody asked to cancel, is CANCELLED. One that a limit would
        end, and that was extended in the meantime, goes on: it is not STOPPING, or if it was already, it ends
        and is PAUSED in the same breath.

        Args:
            claim: The driver's licence.
            state: Where it is left,
            reason: and why.
            now: Seconds since the Unix epoch.
            limit: Of the budget, that ends it; of a sweep that was STOPPING it is known already.

        Returns:
            The state in which it is now.

        Raises:
            WrongState: The sweep's state does not allow it.
        """

        def body(connection: Connection) -> SweepState:
            sql.fence(connection, claim, now)
            return leave(connection, claim, state, reason, now, limit=limit)

        return self._write(body)

    def take_extension(self, claim: Claim, now: float) -> SweepRecord:
        """The sweep with its budget as it is now: its driver has heard of what was added.

        A sweep that is STOPPING, or only runs its finalists again, keeps the request open, for its end.
        """

        def body(connection: Connection) -> SweepRecord:
            sql.fence(connection, claim, now)
            sweep = find_sweep(connection, claim.sweep_id)
            if sweep.state is SweepState.RUNNING and sweep.search_ended is None:
                close(connection, claim.sweep_id, RequestKind.EXTEND, RequestState.DONE, now)
            return sweep

        return self._write(body)

    def end_search(self, claim: Claim, reason: str, now: float, *, limit: Limit | None = None) -> None:
        """Says that the search makes no more trials of its own, while finalists are run again."""

        def body(connection: Connection) -> None:
            sql.fence(connection, claim, now)
            state = find_sweep(connection, claim.sweep_id).state
            sql.move_sweep(connection, claim, state, state, {"search_ended": reason, "stopped_by": limit})
            sql.add_sweep_event(connection, claim, "sweep.search_ended", now, {"reason": reason})

        self._write(body)

    # -- a trial's life

    def add_trial(
        self,
        claim: Claim,
        suggestion: Suggestion,
        sampler_attrs: Mapping[str, Any],
        now: float,
        *,
        gpus: float = 0.0,
        replicate_of: int | None = None,
    ) -> TrialRecord:
        """A new trial with its first attempt, both RUNNING.

        Args:
            claim: The driver's licence.
            suggestion: Its number, parameters and seed.
            sampler_attrs: What the sampler must find again.
            now: Seconds since the Unix epoch.
            gpus: The share of one that it holds.
            replicate_of: The trial that it runs again, or None.

        Raises:
            WrongState: The sweep has a trial of that number.
        """
        key = sql.Key(claim.sweep_id, suggestion.number, 1)
        row: dict[str, Any] = {
            "number": key.number,
            "state": TrialState.RUNNING.value,
            "reason": None,
            "params": dict(suggestion.params),
            "seed": suggestion.seed,
            "attempt": key.attempt,
            "failures": 0,
            "iteration": 0,
            "checkpoint": None,
            "checkpoint_iteration": 0,
            "worker_s": 0.0,
            "started_at": now,
            "ended_at": None,
            "sampler_attrs": dict(sampler_attrs),
            "metrics": {},
            "second_try": None,
            "replicate_of": replicate_of,
        }

        def body(connection: Connection) -> None:
            sql.fence(connection, claim, now)
            sql.add_trial(connection, claim, row)
            sql.add_attempt(connection, claim, key, 0, now, gpus=gpus)
            data = {"params": row["params"]}
            if replicate_of is not None:
                data["replicate_of"] = replicate_of
            sql.add_trial_event(connection, claim, key, "trial.started", now, data=data)

        self._write(body)
        return rows.trial_record({**row, "measured_iteration": 0})

    def start_attempt(self, claim: Claim, number: int, now: float, *, gpus: float = 0.0) -> TrialRecord:
        """QUEUED to RUNNING: the next attempt, from the trial's checkpoint; `gpus`: the share that it holds.

        Raises:
            WrongState: The trial is not QUEUED.
        """

        def body(connection: Connection) -> TrialRecord:
            sql.fence(connection, claim, now)
            trial = _queued(connection, claim, number)
            attempt, start = trial.attempt + 1, trial.checkpoint_iteration
            values = {"attempt": attempt, "iteration": start, "reason": None}
            before = sql.Key(claim.sweep_id, number, trial.attempt)
            sql.move_trial(connection, before, trial.state, TrialState.RUNNING, values)
            key = sql.Key(claim.sweep_id, number, attempt)
            sql.add_attempt(connection, claim, key, start, now, gpus=gpus)
            data = {"iteration": start, "checkpoint": trial.checkpoint}
            sql.add_trial_event(connection, claim, key, "trial.started", now, data=data)
            return replace(trial, state=TrialState.RUNNING, attempt=attempt, iteration=start, reason=None)

        return self._write(body)

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
        metrics and details as they are. Values that are NaN or infinite are dropped.

        Args:
            claim: The driver's licence.
            report: From a worker. One with a failure and the outcome QUEUED is a retry.
            outcome: The state to go to, the reason, and what the worker is told.
            sampler_attrs: The trial's new ones, or None to keep them.
            now: Seconds since the Unix epoch.

        Returns:
            False, with nothing changed, if the trial is not RUNNING this attempt any more: a late report.

        Raises:
            WrongState: RUNNING trials cannot go to the outcome's state.
        """

        def body(connection: Connection) -> None:
            sql.fence(connection, claim, now, report.worker_s)
            take_report(connection, claim, report, outcome, sampler_attrs=sampler_attrs, now=now)

        try:
            self._write(body)
        except LateReportError:
            return False
        return True

    def note_replacement(self, claim: Claim, number: int, attempt: int, reason: str, now: float) -> None:
        """Writes down that an attempt's process was replaced before it began; changes no state."""
        key = sql.Key(claim.sweep_id, number, attempt)

        def body(connection: Connection) -> None:
            sql.fence(connection, claim, now)
            sql.add_trial_event(connection, claim, key, "worker.replaced", now, data={"reason": reason})

        self._write(body)

    def cancel_queued(self, claim: Claim, number: int, reason: str, now: float) -> None:
        """QUEUED to CANCELLED: a trial that will get no further attempt.

        Raises:
            WrongState: The trial is not QUEUED.
        """

        def body(connection: Connection) -> None:
            sql.fence(connection, claim, now)
            cancel(connection, claim, _queued(connection, claim, number), reason, now)

        self._write(body)

    def _write(self, body: Callable[[Connection], _T]) -> _T:
        return write(self._engine, self._patience, body)


def _queued(connection: Connection, claim: Claim, number: int) -> TrialRecord:
    trial = find_trial(connection, claim.sweep_id, number)
    if trial.state is not TrialState.QUEUED:
        raise WrongState(f"trial {number} of sweep {claim.sweep_id} is {trial.state.value}, not QUEUED")
    return trial
