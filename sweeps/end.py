"""Whether and why a sweep comes to its end, and what the store is told of it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from sweeps.core.budget import limits_of
from sweeps.core.finals import Finals
from sweeps.core.ranking import leader
from sweeps.core.replicates import searched
from sweeps.core.states import SweepState, TrialState
from sweeps.core.stops import Limit, Stop
from sweeps.ledger import Ledger
from sweeps.records import Claim, SweepRecord, TrialRecord
from sweeps.service import SweepService
from sweeps.upcoming import Upcoming
from sweeps.wishes import Wishes

HOPELESS_AFTER = 3
"""Trials that may end FAILED, with none measured in the sweep, before the sweep itself is given up."""


@dataclass(frozen=True, slots=True)
class Ending:
    """What the search leaves its sweep in: PAUSED, CANCELLED, COMPLETED, or FAILED without a measurement.

    A sweep that had nothing to try, since earlier ones that it knows of have tried everything, is COMPLETED.
    """

    state: SweepState
    reason: str | None


class End:
    """Watches one driver's sweep.

    Args:
        service: The store.
        claim: The licence to write.
        sweep: As it was claimed.
        trials: All of the sweep's by number, kept up to date by the search.
        ledger: What is spent.
        wishes: What people ask.
        upcoming: How many trials there may be.
        finals: Whether finalists run again after the search, and which.
        clock: Seconds since the Unix epoch.

    Attributes:
        over: Why nothing more may run, or None.
        search_ended: Why the search makes no more trials of its own, or None.
        silent: Whether the store must not be written to any more.
    """

    def __init__(
        self,
        service: SweepService,
        claim: Claim,
        sweep: SweepRecord,
        *,
        trials: Mapping[int, TrialRecord],
        ledger: Ledger,
        wishes: Wishes,
        upcoming: Upcoming,
        finals: Finals,
        clock: Callable[[], float],
    ) -> None:
        self._service, self._claim, self._clock = service, claim, clock
        self._trials, self._ledger, self._wishes = trials, ledger, wishes
        self._upcoming, self._finals = upcoming, finals
        self._stopping = sweep.state is SweepState.STOPPING
        self._told = sweep.search_ended is not None
        self.over: Stop | None = None
        if self._stopping:
            self.over = Stop(sweep.reason or "its last driver was ending it", sweep.stopped_by)
        self.search_ended: Stop | None = None
        if sweep.search_ended is not None:
            self.search_ended = Stop(sweep.search_ended, sweep.stopped_by)
        self.silent = False

    def check(self, changed: TrialRecord | None = None) -> bool:
        """Looks whether a limit is reached, with a trial as its newest report leaves it.

        Returns:
            Whether that is news, for which workers have to come in.
        """
        self._extend()
        if self._wishes.cancel:
            self.over = Stop(self._wishes.cancel)
        if self.over:
            return False
        before = self.search_ended
        if before is None:
            own = changed is None or changed.replicate_of is None
            self.search_ended = self._ledger.enough(changed if own else None)
        self.over = self._ledger.exhausted(self._clock(), changed)
        if self.search_ended and not self._finals.wanted:
            self.over = self.search_ended
        if self.over is None and self._hopeless():
            self.over = Stop(f"the first {HOPELESS_AFTER} trials failed: {self._last_reason()}")
        return self.over is not None or self.search_ended is not before

    def tell(self) -> None:
        """Tells the store that the sweep ends, or only its search, after the report that ends it.

        A sweep that was just extended does not end.
        """
        if self.silent or self._stopping:
            return
        ended, now = self.search_ended, self._clock()
        if ended and not self._told and not self.over:
            self._service.end_search(self._claim, ended.reason, now, limit=ended.limit)
            self._told = True
        over = self.over
        if over is None:
            return
        left = self._service.finish(self._claim, SweepState.STOPPING, over.reason, now, limit=over.limit)
        self._stopping = left is SweepState.STOPPING
        if not self._stopping:
            self.over, self.search_ended, self._wishes.extended = None, None, True
            self._extend()

    def is_reached(self) -> bool:
        """Nothing runs, and nothing is left to try: it is the end, unless the sweep was just extended."""
        count = self._upcoming.trials
        spent = Stop(f"budget of {count} trial{'s' if count > 1 else ''} used up", Limit.TRIALS)
        if self._upcoming.exhausted:
            spent = Stop(self._upcoming.exhausted)
        self.over = self.search_ended or spent
        self.tell()
        return self.over is not None

    def stop_of(self, trial: TrialRecord) -> Stop | None:
        """Why a trial must not go on, or None.

        Replicates go on when only the search has ended, and so does who reached its target: without a
        whole run it would be no finalist, and nobody would confirm what it promised.
        """
        if self.over or self.search_ended is None or trial.replicate_of is not None:
            return self.over
        return None if self._ledger.has_reached(trial) else self.search_ended

    def ending(self, *, pausing: bool, halted: str | None) -> Ending:
        """What becomes of the sweep, once nothing runs; a spent budget leaves nothing to resume.

        Args:
            pausing: Whether it is to be PAUSED if there is anything left,
            halted: and why, if nobody asked for that.
        """
        if self._wishes.cancel:
            return Ending(SweepState.CANCELLED, self._wishes.cancel)
        if self._hopeless():
            return Ending(SweepState.FAILED, self.over.reason if self.over else None)
        if pausing and self.leaves_something():
            return Ending(SweepState.PAUSED, self._wishes.pause or halted)
        known_whole = self._upcoming.exhausted and not self._trials  # earlier sweeps have tried everything
        if self._any_measured() or known_whole:
            return Ending(SweepState.COMPLETED, self._why())
        return Ending(SweepState.FAILED, f"no trial could be measured: {self._last_reason()}")

    def leaves_something(self) -> bool:
        """Whether a later driver would find something to run."""
        if self.over:
            return False
        if not self.search_ended:
            own = searched(self._trials.values())
            more = len(own) < self._upcoming.trials and not self._upcoming.exhausted
            if more or any_open(own):
                return True
        going_on = [trial for trial in self._trials.values() if self.stop_of(trial) is None]
        return any_open(going_on) or bool(self._finals.due(self._trials.values()))

    def _extend(self) -> None:
        """Takes over what was added to the budget; a sweep that is STOPPING already is opened again later."""
        if self._wishes.extended and not self._stopping and not self.silent:
            self._wishes.extended = False
            sweep = self._service.take_extension(self._claim, self._clock())
            self._upcoming.trials = sweep.budget.trials
            limits = limits_of(sweep.budget, self._finals.objectives, sweep.deadline_at)
            self._ledger.extend(limits, searched(self._trials.values()))

    def _hopeless(self) -> bool:
        """Whether only failures came so far: the fault is then the set-up's, not a trial's.

        Trials that are INFEASIBLE do not count before the end: others may fit.
        """
        failed = sum(trial.state is TrialState.FAILED for trial in self._trials.values())
        return failed >= HOPELESS_AFTER and not self._any_measured()

    def _any_measured(self) -> bool:
        return leader(self._trials.values(), self._finals.objectives) is not None

    def _last_reason(self) -> str:
        """Why the last trial that failed did so; if none did, the limit that ended them."""
        bad = (TrialState.FAILED, TrialState.INFEASIBLE)
        reasons = [t.reason for t in self._trials.values() if t.state in bad and t.reason]
        return reasons[-1] if reasons else self.over.reason if self.over else "none was started"

    def _why(self) -> str | None:
        """Why the sweep ended, and its search before, if that had another reason."""
        why = self.over or self.search_ended
        if self.search_ended and why and why != self.search_ended:
            return f"{self.search_ended.reason}; {why.reason}"
        return why.reason if why else None


def any_open(trials: Iterable[TrialRecord]) -> bool:
    """Whether one of the trials has not ended."""
    return any(not trial.state.terminal for trial in trials)
