"""The search itself: three verbs, `next`, `report` and `fail`, and no idea of what executes them.

Every verb is one transaction of the store, fenced by the driver's epoch; what is held in memory is a copy of
the rows, changed only after they were. The executor calls the verbs from one thread.
"""

from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from pathlib import Path

from sweeps.calling import Calling
from sweeps.core.budget import limits_of
from sweeps.core.finals import Finals
from sweeps.core.progress import Overview, Progress
from sweeps.core.replicates import repeat_of, searched
from sweeps.core.requests import Request
from sweeps.core.sampler import most_trials
from sweeps.core.spec import SweepSpec
from sweeps.core.states import TrialState
from sweeps.core.trial import Assignment, Decision, Failure, FailureKind, Report
from sweeps.end import End, Ending, any_open
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

_NO_MEMORY = (FailureKind.OUT_OF_MEMORY, FailureKind.OUT_OF_HOST_MEMORY)

_GOES_ON = Outcome(TrialState.RUNNING, None, Decision.CONTINUE)


class Turn(Enum):
    """What `next` says when it has no assignment."""

    WAIT = "wait"
    FINISHED = "finished"


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
        self._calling = Calling(directory / f"pause-e{claim.epoch}")
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
        for each in measurements:
            self._ledger.reached_at(each.number, each.metrics)
        self._pausing = self._abandoned = False
        self._halted: str | None = None
        self._wishes = Wishes(StoreReader(service.engine), claim.sweep_id, on_request)
        self._different = most_trials(self._spec.sampler, self._spec.space)
        self._upcoming = Upcoming(service, claim, self._spec, self._sampler, self._finals)
        self._upcoming.trials = sweep.budget.trials
        self._end = End(
            service,
            claim,
            sweep,
            trials=self._trials,
            ledger=self._ledger,
            wishes=self._wishes,
            upcoming=self._upcoming,
            finals=self._finals,
            clock=clock,
        )

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
        self._end.tell()
        stops = self._pausing or self._end.over is not None or self._abandoned
        if stops or (self._end.search_ended and any_open(self._own())):
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
            return Turn.WAIT if running else self._last_turn()
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
        self._end.tell()
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
        self._calling.call_in()

    def heed(self) -> None:
        """Looks for what people asked of the sweep, and at the clock. From any thread, and often.

        Workers are called in, and the rest is done at their next report.
        """
        if self._abandoned:
            return
        new = self._wishes.look()
        self._pausing = self._pausing or self._wishes.pause is not None
        if new or self._ledger.time_is_up(self._clock()):
            self._calling.call_in()

    def abandon(self) -> None:
        """Gives up without another word to the store: its epoch is lost, or it cannot be written."""
        self._abandoned = self._end.silent = True
        self._calling.call_in()

    def ending(self) -> Ending:
        """How the search ended, once `next` has said FINISHED."""
        return self._end.ending(pausing=self._pausing, halted=self._halted)

    def checkpoint(self, number: int) -> str | None:
        """The directory of a trial's last checkpoint, or None."""
        return self._trials[number].checkpoint

    def progress(self, changed: TrialRecord | None = None) -> Progress:
        """The sweep at this moment, with the trial that it is news of."""
        trials, budget = self._trials.values(), self._upcoming.trials
        settled = not any_open(trials) and not self._end.leaves_something()
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
        if why and not self._ledger.has_reached(after):
            return Outcome(TrialState.PRUNED, why, Decision.STOP)
        over = self._end.stop_of(after)
        if over:
            # what a limit cuts off waits for the end: until then the limit may be extended
            state = TrialState.QUEUED if over.limit else TrialState.CANCELLED
            return Outcome(state, over.reason, Decision.STOP)
        if report.paused or self._pausing:
            return Outcome(TrialState.QUEUED, "paused", Decision.STOP)
        if report.checkpoint is not None and (why := self._room.makes_way(trial, self._trials.values())):
            return Outcome(TrialState.QUEUED, why, Decision.STOP)
        if self._end.search_ended and self._count(TrialState.RUNNING) == 1:
            self._let_workers_go_on()  # it was called in for the others
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
        if self._end.check(changed):
            self._calling.call_in()

    def _cancel_queued(self) -> None:
        """A budget that has ended leaves no trial waiting for a turn that will not come."""
        for trial in list(self._trials.values()):
            stop = self._end.stop_of(trial)
            if trial.state is TrialState.QUEUED and stop:
                self._service.cancel_queued(self._claim, trial.number, stop.reason, self._clock())
                self._trials[trial.number] = replace(trial, state=TrialState.CANCELLED, reason=stop.reason)
                if trial.replicate_of is None:
                    self._sampler.finish(trial.number, TrialState.CANCELLED, trial.metrics)

    # -- details

    def _last_turn(self) -> Assignment | Turn:
        """Nothing runs, and nothing is left to try."""
        return Turn.FINISHED if self._end.is_reached() else self._turn()

    def _started(self, place: TrialRecord | Place) -> TrialRecord | None:
        """The next attempt, RUNNING: of a trial that waited, or of a new one; None if there is none now."""
        now = self._clock()
        if isinstance(place, TrialRecord):
            share = self._room.share(place)
            return self._service.start_attempt(self._claim, place.number, now, gpus=share)
        searching = self._end.search_ended is None
        return self._upcoming.begin(self._trials, now, gpus=self._room.share(), searching=searching)

    def _own(self) -> list[TrialRecord]:
        """The search's trials, without replicates of finalists: what the sampler and the budget count."""
        return searched(self._trials.values())

    def _count(self, state: TrialState) -> int:
        return sum(t.state is state for t in self._trials.values())

    def _let_workers_go_on(self) -> None:
        """They were called in for a limit that is not reached, now that all have said what they did."""
        if self._calling.let_go_on() and self._pausing:  # a signal came in between
            self._calling.call_in()

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
            pause_file=str(self._calling.path),
            gpus=self._room.share(trial),
        )
