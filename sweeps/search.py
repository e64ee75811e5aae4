"""The search itself: three verbs, `next`, `report` and `fail`, and no idea of what executes them.

Every verb is one transaction of the store, fenced by the driver's epoch; what is held in memory is a copy of
the rows, changed only after they were. The executor calls the verbs from one thread.
"""

import contextlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from sweeps.core.budget import limits_of
from sweeps.core.finals import Finals
from sweeps.core.progress import Overview, Progress
from sweeps.core.ranking import leader
from sweeps.core.replicates import repeat_of, searched
from sweeps.core.requests import Request
from sweeps.core.sampler import most_trials
from sweeps.core.spec import SweepSpec
from sweeps.core.states import SweepState, TrialState
from sweeps.core.stops import Limit, Stop
from sweeps.core.trial import Assignment, Decision, Failure, FailureKind, Report
from sweeps.ledger import Ledger
from sweeps.records import Claim, Outcome, TrialRecord
from sweeps.room import Place, Room
from sweeps.samplers.sampler import OptunaSampler
from sweeps.service import SweepService
from sweeps.store.reader import StoreReader
from sweeps.store.reports import after_report
from sweeps.upcoming import Upcoming
from sweeps.wishes import Wishes

MAX_FAILURES = 3
"""Lost or failed attempts after which a trial is FAILED."""

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
        self._finals = Finals(self._spec)
        self._overview = Overview(self._finals, rungs=self._rungs, workers=workers)
        self._trials: dict[int, TrialRecord] = {t.number: t for t in service.trials(claim.sweep_id)}
        measurements = service.measurements(claim.sweep_id)
        self._measured = {(m.number, m.iteration) for m in measurements}
        warm = service.warm_plan(claim.sweep_id)
        self._sampler = OptunaSampler(self._spec, self._spec.sampler.seed, warm)
        self._sampler.replay(self._own(), [m for m in measurements if not repeat_of(m.number)])
        self._sampler.recall(lambda number: service.details(claim.sweep_id, number))
        self._ledger = Ledger(
            limits_of(sweep.budget, self._finals.objectives, sweep.deadline_at),
            self._finals.objectives,
            self._finals.bounds,
            share=self._room.share,
            gpu_s=service.gpu_s(claim.sweep_id, unnoted=devices),
            active_s=sweep.active_s,
            now=clock(),
            trials=self._trials.values(),
        )
        self._pausing = self._called_in = False
        self._halted: str | None = None
        self._wishes = Wishes(StoreReader(service.engine), claim.sweep_id, on_request)
        self._stopping = sweep.state is SweepState.STOPPING
        self._over: Stop | None = None
        if self._stopping:
            self._over = Stop(sweep.reason or "its last driver was ending it", sweep.stopped_by)
        self._search_ended: Stop | None = None  # why, where finalists are run again
        if sweep.search_ended is not None:
            self._search_ended = Stop(sweep.search_ended, sweep.stopped_by)
        self._told = sweep.search_ended is not None
        self._abandoned = False
        self._different = most_trials(self._spec.sampler, self._spec.space)
        self._upcoming = Upcoming(service, claim, self._spec, self._sampler, self._finals)
        self._upcoming.trials = sweep.budget.trials

    # -- the three verbs

    def next(self) -> Assignment | Turn:
        """The next attempt to run, or that there is none now, or that there will be none.

        Suggests only when a worker is free, with all that is known by then, so that the same seed and the
        same answers in the same order give the same suggestions. FINISHED is said only when nothing runs:
        what runs may fail and come back.
        """
        turn = self._turn()
        if turn is Turn.FINISHED and not self._abandoned:
            self._on_change(self.progress())  # nothing is open any more: only now is it clear who leads
        return turn

    def _turn(self) -> Assignment | Turn:
        running = self._count(TrialState.RUNNING)
        self.heed()
        self._check_budget()
        self._stop()
        stops = self._pausing or self._over is not None or self._abandoned
        if stops or (self._search_ended and self._open(self._own())):
            if running:
                return Turn.WAIT
            if not self._abandoned:
                self._cancel_queued()
            if stops:
                return Turn.FINISHED
        place = self._room.pick(self._trials.values(), self._clock())
        if place is Place.NONE:
            return Turn.WAIT
        self._let_workers_go_on()
        trial = self._started(place)
        if trial is None:
            return Turn.WAIT if running else self._tried()
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
        own = trial.replicate_of is None
        attrs = self._sampler.attrs(trial.number) if own else trial.sampler_attrs
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
        if trial.state.terminal and own:
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

    def replaced(self, number: int, attempt: int, why: str) -> None:
        """An attempt's worker was worn out before it began with it: another one will, and nothing is lost."""
        self._service.note_replacement(self._claim, number, attempt, why, self._clock())
        self._on_note(f"the worker for trial {number} was replaced: {why}")

    # -- the driver's hands

    @property
    def pausing(self) -> bool:
        """Whether somebody wants the sweep to be PAUSED."""
        return self._pausing

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
            return Ending(SweepState.FAILED, self._over.reason if self._over else None)
        if self._pausing and self._unfinished():
            return Ending(SweepState.PAUSED, self._wishes.pause or self._halted)
        if self._any_measured():
            return Ending(SweepState.COMPLETED, self._why())
        return Ending(SweepState.FAILED, f"no trial could be measured: {self._last_reason()}")

    def progress(self, changed: TrialRecord | None = None) -> Progress:
        """The sweep at this moment, with the trial that it is news of."""
        trials, budget = self._trials.values(), self._upcoming.trials
        settled = not self._open(trials) and not self._unfinished()
        return self._overview.at(trials, min(budget, self._different or budget), changed, settled=settled)

    # -- decisions

    def _judged(self, trial: TrialRecord, report: Report, first: bool) -> Outcome:
        """What becomes of a trial that made progress; `first`: this is a rung's first measurement."""
        why = None
        own = trial.replicate_of is None
        if first and report.metrics is not None and own:
            why = self._sampler.observe(report.number, report.iteration, report.metrics, report.details)
        if report.iteration >= self._rungs[-1] and report.metrics is not None:
            return Outcome(TrialState.COMPLETED, None, Decision.STOP)
        after = after_report(trial, report, _GOES_ON, trial.sampler_attrs, first)
        self._check_budget(after)
        if why and not self._ledger.hits_target(after):
            return Outcome(TrialState.PRUNED, why, Decision.STOP)
        over = self._over or (self._search_ended if own else None)
        if over:
            # what a limit cuts off waits for the end: until then the limit may be extended
            state = TrialState.QUEUED if over.limit else TrialState.CANCELLED
            return Outcome(state, over.reason, Decision.STOP)
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
        self._extend()
        if self._wishes.cancel:
            self._over = Stop(self._wishes.cancel)
        if self._over:
            return
        if self._search_ended is None:
            own = changed is None or changed.replicate_of is None
            self._search_ended = self._ledger.enough(changed if own else None)
            if self._search_ended:
                self._ask_workers_to_pause()
        self._over = self._ledger.exhausted(self._clock(), changed)
        if self._search_ended and not self._finals.wanted:
            self._over = self._search_ended
        if self._over is None and self._hopeless():
            self._over = Stop(f"the first {HOPELESS_AFTER} trials failed: {self._last_reason()}")
        if self._over:
            self._ask_workers_to_pause()

    def _stop(self) -> None:
        """Tells the store that the sweep ends, or only its search, after the report that ends it.

        A sweep that was just extended does not end.
        """
        if self._abandoned or self._stopping:
            return
        ended, now = self._search_ended, self._clock()
        if ended and not self._told and not self._over:
            self._service.end_search(self._claim, ended.reason, now, limit=ended.limit)
            self._told = True
        if self._over is None:
            return
        over = self._over
        left = self._service.finish(self._claim, SweepState.STOPPING, over.reason, now, limit=over.limit)
        self._stopping = left is SweepState.STOPPING
        if not self._stopping:
            self._over, self._search_ended, self._wishes.extended = None, None, True
            self._extend()

    def _tried(self) -> Assignment | Turn:
        """Nothing runs, and there is nothing left to try: the end, unless the sweep was just extended."""
        count = self._upcoming.trials
        spent = Stop(f"budget of {count} trial{'s' if count > 1 else ''} used up", Limit.TRIALS)
        if self._upcoming.exhausted:
            spent = Stop(self._upcoming.exhausted)
        self._over = self._search_ended or spent
        self._stop()
        return Turn.FINISHED if self._over else self._turn()

    def _extend(self) -> None:
        """Takes over what was added to the budget; a sweep that is STOPPING already is opened again later."""
        if self._wishes.extended and not self._stopping and not self._abandoned:
            self._wishes.extended = False
            sweep = self._service.take_extension(self._claim, self._clock())
            self._upcoming.trials = sweep.budget.trials
            limits = limits_of(sweep.budget, self._finals.objectives, sweep.deadline_at)
            self._ledger.extend(limits, self._own())

    def _hopeless(self) -> bool:
        """Whether only failures came so far: the fault is then the set-up's, not a trial's.

        Trials that are INFEASIBLE do not count before the end: others may fit.
        """
        return self._count(TrialState.FAILED) >= HOPELESS_AFTER and not self._any_measured()

    def _any_measured(self) -> bool:
        return leader(self._trials.values(), self._finals.objectives) is not None

    def _last_reason(self) -> str:
        """Why the last trial that failed did so; if none did, the limit that ended them."""
        bad = (TrialState.FAILED, TrialState.INFEASIBLE)
        reasons = [t.reason for t in self._trials.values() if t.state in bad and t.reason]
        return reasons[-1] if reasons else self._over.reason if self._over else "none was started"

    def _why(self) -> str | None:
        """Why the sweep ended before its number of trials, or of replicates."""
        why = self._over or self._search_ended
        if self._search_ended and why and why != self._search_ended:
            return f"{self._search_ended.reason}; {why.reason}"
        return why.reason if why else None

    def _cancel_queued(self) -> None:
        """A budget that has ended leaves no trial waiting for a turn that will not come."""
        for trial in list(self._trials.values()):
            own = trial.replicate_of is None
            stop = self._over or (self._search_ended if own else None)
            if trial.state is TrialState.QUEUED and stop:
                self._service.cancel_queued(self._claim, trial.number, stop.reason, self._clock())
                self._trials[trial.number] = replace(trial, state=TrialState.CANCELLED, reason=stop.reason)
                if own:
                    self._sampler.finish(trial.number, TrialState.CANCELLED, trial.metrics)

    # -- details

    def _started(self, place: TrialRecord | Place) -> TrialRecord | None:
        """The next attempt, RUNNING: of a trial that waited, or of a new one; None if there is none now."""
        now = self._clock()
        if isinstance(place, TrialRecord):
            share = self._room.share(place)
            return self._service.start_attempt(self._claim, place.number, now, gpus=share)
        searching = self._search_ended is None
        return self._upcoming.begin(self._trials, now, gpus=self._room.share(), searching=searching)

    def _own(self) -> list[TrialRecord]:
        """The search's trials, without replicates of finalists: what the sampler and the budget count."""
        return searched(self._trials.values())

    def _open(self, trials: Iterable[TrialRecord]) -> bool:
        return any(not trial.state.terminal for trial in trials)

    def _count(self, state: TrialState) -> int:
        return sum(t.state is state for t in self._trials.values())

    def _unfinished(self) -> bool:
        """Whether a later driver would find something to run."""
        if self._over:
            return False
        if not self._search_ended:
            own = self._own()
            more = len(own) < self._upcoming.trials and not self._upcoming.exhausted
            if more or self._open(own):
                return True
        repeats = [trial for trial in self._trials.values() if trial.replicate_of is not None]
        return self._open(repeats) or bool(self._finals.due(self._trials.values()))

    def _ask_workers_to_pause(self) -> None:
        self._called_in = True
        with contextlib.suppress(OSError):  # on a full disk they stop at their next report
            os.close(os.open(self._pause_file, os.O_CREAT | os.O_WRONLY))

    def _let_workers_go_on(self) -> None:
        """They were called in for a limit that is not reached, now that all have said what they did."""
        if self._called_in:
            self._called_in = False
            self._pause_file.unlink(missing_ok=True)
            if self._pausing:  # a signal came in between
                self._ask_workers_to_pause()

    def _assignment(self, trial: TrialRecord) -> Assignment:
        return Assignment(
            sweep_id=self._claim.sweep_id,
            number=trial.number,
            attempt=trial.attempt,
            epoch=self._claim.epoch,
            params=trial.params,
            seed=trial.seed,
            # nobody looks at a replicate between
            rungs=self._rungs if trial.replicate_of is None else self._rungs[-1:],
            checkpoint=trial.checkpoint,
            iteration=trial.checkpoint_iteration,
            directory=str(self._directory / "trials" / f"{trial.number:05d}"),
            pause_file=str(self._pause_file),
            gpus=self._room.share(trial),
        )
