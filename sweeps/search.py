"""The search itself: three verbs, `next`, `report` and `fail`, and no idea of what executes them.

Every verb is one transaction of the store, fenced by the driver's epoch; what is held in memory is a copy of
the rows, changed only after they were. The executor calls the verbs from one thread.
"""

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from sweeps.core.budget import limits_of
from sweeps.core.progress import Overview, Progress
from sweeps.core.ranking import bounds_of, leader, objectives_of
from sweeps.core.requests import Request
from sweeps.core.spec import SweepSpec
from sweeps.core.states import SweepState, TrialState
from sweeps.core.trial import Assignment, Decision, Failure, FailureKind, Report
from sweeps.ledger import Ledger
from sweeps.records import Claim, Outcome, TrialRecord
from sweeps.room import Place, Room
from sweeps.samplers.sampler import OptunaSampler
from sweeps.service import SweepService
from sweeps.store.reader import StoreReader
from sweeps.store.reports import after_report
from sweeps.wishes import Wishes

MAX_FAILURES = 3
"""Lost or failed attempts after which a trial is FAILED."""

EXHAUSTED = "the space has no further combination"
"""Why a sweep ends before its budget of trials is spent, where its space is small."""

HOPELESS_AFTER = 3
"""Trials that may end FAILED, with none measured in the sweep, before the sweep itself is given up."""


_NO_MEMORY = (FailureKind.OUT_OF_MEMORY, FailureKind.OUT_OF_HOST_MEMORY)

_GOES_ON = Outcome(TrialState.RUNNING, None, Decision.CONTINUE)


class Turn(Enum):
    """What `next` says when it has no assignment."""

    WAIT = "wait"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class Ending:
    """What the search leaves its sweep in: PAUSED, CANCELLED, COMPLETED, or FAILED without a measurement."""

    state: SweepState
    reason: str | None


class Search:
    """One driver's hold on a sweep.

    Args:
        service: The store.
        claim: The licence to write, from `SweepService.claim`.
        directory: The sweep's directory, absolute; workers must see it under the same path.
        workers: Trials that may run at once.
        beside: The same while one of them, which ran out of memory, has a full device; by default `workers`.
        devices: Share of a GPU that a trial holds: its assignment says so, and GPU hours count by it.
        clock: Seconds since the Unix epoch.
        on_change: Called with the progress after each verb that changed something.
        on_request: Called with each thing that somebody asks of the sweep, from the thread that sees it.
        on_note: Called with what a person should know.
    """

    def __init__(
        self,
        service: SweepService,
        claim: Claim,
        *,
        directory: Path,
        workers: int,
        devices: float,
        clock: Callable[[], float],
        on_change: Callable[[Progress], None] = lambda _: None,
        on_request: Callable[[Request], None] = lambda _: None,
        on_note: Callable[[str], None] = lambda _: None,
        beside: int | None = None,
    ) -> None:
        sweep = service.sweep(claim.sweep_id)
        self._service, self._claim, self._clock = service, claim, clock
        self._on_change, self._on_note = on_change, on_note
        self._spec: SweepSpec = sweep.spec
        self._directory, self._workers = directory, workers
        self._room = Room(workers, devices, workers if beside is None else beside)
        self._rungs: tuple[int, ...] = tuple(self._spec.fidelity.rungs)
        self._pause_file = directory / f"pause-e{claim.epoch}"
        self._objectives, self._bounds = objectives_of(self._spec), bounds_of(self._spec)
        self._overview = Overview(self._objectives, self._bounds, rungs=self._rungs, workers=workers)
        self._trials: dict[int, TrialRecord] = {t.number: t for t in service.trials(claim.sweep_id)}
        measurements = service.measurements(claim.sweep_id)
        self._measured = {(m.number, m.iteration) for m in measurements}
        warm = service.warm_plan(claim.sweep_id)
        self._sampler = OptunaSampler(self._spec, self._spec.sampler.seed, warm)
        self._sampler.replay(list(self._trials.values()), measurements)
        self._sampler.recall(lambda number: service.details(claim.sweep_id, number))
        now = clock()
        self._ledger = Ledger(
            limits_of(self._spec, sweep.started_at or now),
            self._objectives,
            self._bounds,
            share=self._room.share,
            gpu_s=service.gpu_s(claim.sweep_id, unnoted=devices),
            active_s=sweep.active_s,
            now=now,
            trials=self._trials.values(),
        )
        self._pausing = self._called_in = False
        self._halted: str | None = None
        self._wishes = Wishes(StoreReader(service.engine), claim.sweep_id, on_request)
        self._stopping = sweep.state is SweepState.STOPPING
        self._over: str | None = (sweep.reason or "its last driver was ending it") if self._stopping else None
        self._abandoned = False
        self._exhausted: str | None = None  # set once every combination of the space was tried

    # -- the three verbs

    def next(self) -> Assignment | Turn:
        """The next attempt to run, or that there is none now, or that there will be none.

        Suggests only when a worker is free, with all that is known by then, so that the same seed and the
        same answers in the same order give the same suggestions. FINISHED is said only when nothing runs:
        what runs may fail and come back.
        """
        running = self._count(TrialState.RUNNING)
        self.heed()
        self._check_budget()
        self._stop()
        if self._pausing or self._over or self._abandoned:
            if running == 0 and self._over and not self._abandoned:
                self._cancel_queued(self._over)
            return Turn.WAIT if running else Turn.FINISHED
        place = self._room.pick(self._trials.values(), self._clock())
        if place is Place.NONE:
            return Turn.WAIT
        self._let_workers_go_on()
        if isinstance(place, TrialRecord):
            share = self._room.share(place)
            trial = self._service.start_attempt(self._claim, place.number, self._clock(), gpus=share)
        elif len(self._trials) < self._spec.budget.trials and not self._exhausted:
            number = len(self._trials)
            suggestion = self._sampler.suggest(number)
            if suggestion is None:
                self._exhausted = EXHAUSTED
                return Turn.WAIT if running else Turn.FINISHED
            attrs, share = self._sampler.attrs(number), self._room.share()
            trial = self._service.add_trial(self._claim, suggestion, attrs, self._clock(), gpus=share)
        else:
            return Turn.WAIT if running else Turn.FINISHED
        self._trials[trial.number] = trial
        self._ledger.take(trial, self._clock())
        self._room.hand_out(trial, self._clock())
        if self._room.waits_for(trial.number):
            self._ledger.hold(trial.number, None)
        self._on_change(self.progress(trial))
        return self._assignment(trial)

    def report(self, report: Report) -> Decision:
        """Takes one report into the store and decides whether the attempt goes on.

        A report of an attempt that is no longer the trial's changes nothing and is told to stop.
        """
        trial = self._trials[report.number]
        self.heed()
        if self._abandoned or trial.state is not TrialState.RUNNING or trial.attempt != report.attempt:
            return Decision.STOP
        self._room.hear(report.number, self._clock())
        first = report.metrics is not None and (report.number, report.iteration) not in self._measured
        outcome = (
            self._failed(trial, report.failure) if report.failure else self._judged(trial, report, first)
        )
        attrs = self._sampler.attrs(report.number)
        if not self._service.record(
            self._claim, report, outcome=outcome, sampler_attrs=attrs, now=self._clock()
        ):
            return Decision.STOP
        if report.fell_back is not None:
            at, why = report.fell_back.iteration, report.fell_back.reason
            self._on_note(f"trial {trial.number} went on from iteration {at}: {why}")
        if first:
            self._measured.add((report.number, report.iteration))
        trial = after_report(trial, report, outcome, attrs, first)
        self._trials[trial.number] = trial
        self._ledger.take(trial, self._clock())
        if trial.state.terminal:
            self._sampler.finish(trial.number, trial.state, trial.metrics)
        self._check_budget()
        self._stop()
        self._on_change(self.progress(trial))
        return outcome.decision

    def fail(self, number: int, attempt: int, failure: Failure) -> None:
        """An attempt ended without a word of its own: its worker died, or its executor gave up.

        What it held since it was last heard of is spent, though nothing came of it.
        """
        trial, now = self._trials[number], self._clock()
        worker_s = self._ledger.unheard_s(number, now)
        self.report(Report(number, attempt, trial.iteration, now, worker_s, failure=failure))

    def begun(self, number: int) -> None:
        """The executor has found a place for a trial, and its worker has begun."""
        now = self._clock()
        if self._room.waits_for(number):
            self._ledger.hold(number, now)
        self._room.hear(number, now)

    # -- the driver's hands

    def pause(self) -> None:
        """Asks for a stop at the next checkpoint. Safe in a signal handler, and more than once."""
        self._pausing = True
        self._ask_workers_to_pause()

    def heed(self) -> None:
        """Looks for what people asked of the sweep, and at the clock. From any thread, and often.

        Workers are called in, and the rest is done at their next report.
        """
        if self._abandoned:
            return
        new = self._wishes.look()
        self._pausing = self._pausing or self._wishes.pause is not None
        if new or self._ledger.time_is_up(self._clock()):
            self._ask_workers_to_pause()

    def abandon(self) -> None:
        """Gives up without another word to the store: its epoch is lost, or it cannot be written."""
        self._abandoned = True
        self._ask_workers_to_pause()

    def ending(self) -> Ending:
        """How the search ended, once `next` has said FINISHED; a spent budget leaves nothing to resume."""
        if self._wishes.cancel:
            return Ending(SweepState.CANCELLED, self._wishes.cancel)
        if self._hopeless():
            return Ending(SweepState.FAILED, self._over)
        if self._pausing and self._unfinished() and not self._over:
            return Ending(SweepState.PAUSED, self._wishes.pause or self._halted)
        if self._any_measured():
            return Ending(SweepState.COMPLETED, self._over or self._exhausted)
        return Ending(SweepState.FAILED, f"no trial could be measured: {self._last_reason()}")

    def progress(self, changed: TrialRecord | None = None) -> Progress:
        """The sweep at this moment, with the trial that it is news of."""
        return self._overview.at(self._trials.values(), self._spec.budget.trials, changed)

    # -- decisions

    def _judged(self, trial: TrialRecord, report: Report, first: bool) -> Outcome:
        """What becomes of a trial that made progress; `first`: this is a rung's first measurement."""
        why = None
        if first and report.metrics is not None:
            why = self._sampler.observe(report.number, report.iteration, report.metrics, report.details)
        if report.iteration >= self._rungs[-1] and report.metrics is not None:
            return Outcome(TrialState.COMPLETED, None, Decision.STOP)
        after = after_report(trial, report, _GOES_ON, trial.sampler_attrs, first)
        self._check_budget(after)
        if why and not self._ledger.hits_target(after):
            return Outcome(TrialState.PRUNED, why, Decision.STOP)
        if self._over:
            return Outcome(TrialState.CANCELLED, self._over, Decision.STOP)
        if report.paused or self._pausing:
            return Outcome(TrialState.QUEUED, "paused", Decision.STOP)
        if report.checkpoint is not None and (why := self._room.makes_way(trial, self._trials.values())):
            return Outcome(TrialState.QUEUED, why, Decision.STOP)
        return _GOES_ON

    def _failed(self, trial: TrialRecord, failure: Failure) -> Outcome:
        if failure.kind in _NO_MEMORY:
            return self._room.out_of_memory(trial, failure)
        reason = f"{failure.kind}: {failure.message}"
        if failure.kind is FailureKind.DISK_FULL:
            self._halted = reason
            self.pause()
            return Outcome(TrialState.QUEUED, reason, Decision.STOP)
        if not failure.kind.retryable:
            return Outcome(TrialState.INFEASIBLE, reason, Decision.STOP)
        if trial.failures + 1 >= MAX_FAILURES:
            return Outcome(TrialState.FAILED, reason, Decision.STOP)
        return Outcome(TrialState.QUEUED, reason, Decision.STOP)

    def _check_budget(self, changed: TrialRecord | None = None) -> None:
        """Looks whether a limit is reached, with a trial as its newest report leaves it."""
        self._over = self._wishes.cancel or self._over
        if self._over:
            return
        self._over = self._ledger.reached(self._clock(), changed)
        if self._over is None and self._hopeless():
            self._over = f"the first {HOPELESS_AFTER} trials failed: {self._last_reason()}"
        if self._over:
            self._ask_workers_to_pause()

    def _stop(self) -> None:
        """Tells the store that the sweep ends, after the report that ends it."""
        if self._over and not self._stopping and not self._abandoned:
            self._service.finish(self._claim, SweepState.STOPPING, self._over, self._clock())
            self._stopping = True

    def _hopeless(self) -> bool:
        """Whether only failures came so far: the fault is then the set-up's, not a trial's.

        Trials that are INFEASIBLE do not count before the end: others may fit.
        """
        return self._count(TrialState.FAILED) >= HOPELESS_AFTER and not self._any_measured()

    def _any_measured(self) -> bool:
        return leader(self._trials.values(), self._objectives) is not None

    def _last_reason(self) -> str:
        """Why the last trial that failed did so; if none did, the limit that ended them."""
        bad = (TrialState.FAILED, TrialState.INFEASIBLE)
        reasons = [t.reason for t in self._trials.values() if t.state in bad and t.reason]
        return reasons[-1] if reasons else self._over or self._exhausted or "none was started"

    def _cancel_queued(self, reason: str) -> None:
        """A budget that has ended leaves no trial waiting for a turn that will not come."""
        for trial in list(self._trials.values()):
            if trial.state is TrialState.QUEUED:
                self._service.cancel_queued(self._claim, trial.number, reason, self._clock())
                self._trials[trial.number] = replace(trial, state=TrialState.CANCELLED, reason=reason)
                self._sampler.finish(trial.number, TrialState.CANCELLED, trial.metrics)

    # -- details

    def _count(self, state: TrialState) -> int:
        return sum(t.state is state for t in self._trials.values())

    def _unfinished(self) -> bool:
        more = len(self._trials) < self._spec.budget.trials and not self._exhausted
        return more or any(not t.state.terminal for t in self._trials.values())

    def _ask_workers_to_pause(self) -> None:
        self._called_in = True
        with contextlib.suppress(OSError):  # on a full disk they stop at their next report
            os.close(os.open(self._pause_file, os.O_CREAT | os.O_WRONLY))

    def _let_workers_go_on(self) -> None:
        """They were called in for a limit that is not reached, now that all have said what they did."""
        if self._called_in:
            self._called_in = False
            self._pause_file.unlink(missing_ok=True)

    def _assignment(self, trial: TrialRecord) -> Assignment:
        return Assignment(
            sweep_id=self._claim.sweep_id,
            number=trial.number,
            attempt=trial.attempt,
            epoch=self._claim.epoch,
            params=trial.params,
            seed=trial.seed,
            rungs=self._rungs,
            checkpoint=trial.checkpoint,
            iteration=trial.checkpoint_iteration,
            directory=str(self._directory / "trials" / f"{trial.number:05d}"),
            pause_file=str(self._pause_file),
            gpus=self._room.share(trial),
        )
