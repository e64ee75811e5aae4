"""A sweep at a glance: counts, what runs, the best so far, and the time left."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from sweeps.core.finals import Finals
from sweeps.core.keeping import Keeping
from sweeps.core.ranking import leader
from sweeps.core.replicates import Run, searched
from sweeps.core.states import TrialState


class Tracked(Run, Protocol):
    """What progress needs of a trial."""

    @property
    def iteration(self) -> int:
        """Iterations done."""

    @property
    def worker_s(self) -> float:
        """Seconds of workers' time over all attempts."""

    @property
    def reason(self) -> str | None:
        """Why it is in its state, if there is more to say."""


@dataclass(frozen=True, slots=True)
class Glimpse:
    """A trial at one moment.

    Attributes:
        rung: Rungs passed so far, 0 to the number of rungs.
        metrics: Of the last rung; empty before the first.
        measured_iteration: That rung; 0 before the first.
        reason: Why it is in its state, if there is more to say.
    """

    number: int
    state: TrialState
    iteration: int
    rung: int
    metrics: Mapping[str, float]
    measured_iteration: int
    reason: str | None


@dataclass(frozen=True, slots=True)
class Progress:
    """A sweep at one moment.

    Attributes:
        ended: Numbers of the trials in a terminal state.
        done: Of these, the search's own.
        total: Trials that the search's budget allows.
        counts: Trials in each state that any is in.
        running: What runs, by number.
        best: The leader, or None before the first measurement.
        changed: The trial that this is news of, or None.
        left_s: Estimated seconds to the end, or None while nothing has been measured.
        rungs: Iterations of each rung.
        kept: Ended trials that may yet lead or be finalists, in groups; of each the first that has
            checkpoints needs to keep them.
        cut_off: Ended trials that a limit, or somebody, has CANCELLED.
        replicates: Replicates that have ended, and how many there will be as far as is known; None: no spec
            asks for any.
    """

    ended: frozenset[int]
    done: int
    total: int
    counts: Mapping[TrialState, int]
    running: tuple[Glimpse, ...]
    best: Glimpse | None
    changed: Glimpse | None
    left_s: float | None
    rungs: tuple[int, ...]
    kept: tuple[tuple[int, ...], ...] = ()
    cut_off: frozenset[int] = frozenset()
    replicates: tuple[int, int] | None = None


class Overview:
    """Sums up one sweep, again and again: what has ended is looked at once, as it does not change any more.

    Args:
        finals: Who leads, and who is run again.
        rungs: Iterations of each rung.
        workers: Trials at a time.
    """

    def __init__(self, finals: Finals, *, rungs: tuple[int, ...], workers: int) -> None:
        self._finals, self._rungs, self._workers = finals, rungs, workers
        self._ended: set[int] = set()
        self._cut_off: set[int] = set()
        self._counts: Counter[TrialState] = Counter()
        self._ahead: Tracked | None = None  # of the search's own that have ended
        self._worked_s, self._iterations = 0.0, 0  # of ended trials
        self._keeping = Keeping[Tracked](finals.objectives, finals.bounds, finals.kept_places)
        self._own, self._trained = 0, 0  # ended ones of the search; of these, with iterations
        self._own_iterations = 0
        self._kept: tuple[int, tuple[tuple[int, ...], ...]] = 0, ()  # after so many had ended

    def at(
        self,
        trials: Collection[Tracked],
        total: int,
        changed: Tracked | None = None,
        *,
        settled: bool = False,
    ) -> Progress:
        """The sweep at this moment.

        Args:
            trials: All of its trials.
            total: What its budget allows to the search.
            changed: The trial that this is news of, or None.
            settled: Whether nothing more will run.
        """
        still_open = [t for t in trials if t.number not in self._ended and not self._end(t)]
        count = self._own + len(searched(still_open))
        replicates = self._replicates(trials, still_open, max(total - count, 0), settled)
        return Progress(
            ended=frozenset(self._ended),
            done=self._own,
            total=max(total, count),
            counts=self._counts + Counter(t.state for t in still_open),
            running=tuple(self._glimpse(t) for t in still_open if t.state is TrialState.RUNNING),
            best=self._best(trials, still_open, settled),
            kept=self._worth_keeping(trials, settled),
            cut_off=frozenset(self._cut_off),
            changed=self._glimpse(changed) if changed else None,
            left_s=self._left_s(still_open, max(total - count, 0), replicates),
            rungs=self._rungs,
            replicates=replicates,
        )

    def _end(self, trial: Tracked) -> bool:
        """Whether a trial has ended; then it is taken into account."""
        if not trial.state.terminal:
            return False
        self._ended.add(trial.number)
        if trial.state is TrialState.CANCELLED:
            self._cut_off.add(trial.number)
        self._counts[trial.state] += 1
        self._worked_s += trial.worker_s
        self._iterations += trial.iteration
        if trial.replicate_of is None:
            self._keeping.add(trial)
            self._ahead = self._leader([trial])
            self._own += 1
            self._trained += trial.iteration > 0
            self._own_iterations += trial.iteration
        return True

    def _leader(self, trials: Iterable[Tracked]) -> Tracked | None:
        """Who leads of the search's own by single runs: of those that have ended, and of some others."""
        ahead = [] if self._ahead is None else [self._ahead]
        return leader([*ahead, *searched(trials)], self._finals.objectives, self._finals.bounds)

    def _best(self, trials: Iterable[Tracked], still_open: list[Tracked], settled: bool) -> Glimpse | None:
        if not settled or not self._finals.wanted:
            best = self._leader(still_open)
            return self._glimpse(best) if best else None
        standing = self._finals.leader(trials, settled=True)
        return replace(self._glimpse(standing.trial), metrics=standing.metrics) if standing else None

    def _worth_keeping(self, trials: Collection[Tracked], settled: bool) -> tuple[tuple[int, ...], ...]:
        if not self._finals.wanted:
            return tuple((trial.number,) for trial in self._keeping.best())
        if settled or self._kept[0] != len(self._ended):
            self._kept = len(self._ended), self._finals.kept(trials, settled=settled)
        return self._kept[1]

    def _replicates(
        self, trials: Collection[Tracked], still_open: list[Tracked], to_come: int, settled: bool
    ) -> tuple[int, int] | None:
        """Replicates that have ended and all that there will be; while the search goes on, at most."""
        if not self._finals.wanted:
            return None
        counted = [t for t in trials if t.replicate_of is not None and t.state is not TrialState.CANCELLED]
        ended = sum(t.state.terminal for t in counted)
        if not searched(still_open) and (counted or settled or not to_come):
            return ended, len(counted) + len(self._finals.due(trials))
        most = min(self._finals.places, self._own + len(searched(still_open)) + to_come)
        return ended, max(len(counted), most * (self._finals.runs - 1))

    def _glimpse(self, t: Tracked) -> Glimpse:
        rung = sum(r <= t.iteration for r in self._rungs)
        return Glimpse(t.number, t.state, t.iteration, rung, t.metrics, t.measured_iteration, t.reason)

    def _left_s(
        self, still_open: list[Tracked], to_come: int, replicates: tuple[int, int] | None
    ) -> float | None:
        """What is left at the pace so far; early stopping counts by its effect on ended trials."""
        done = self._iterations + sum(t.iteration for t in still_open)
        if not done:
            return None
        pace_s = (self._worked_s + sum(t.worker_s for t in still_open)) / done
        typical = self._own_iterations / self._trained if self._trained else self._rungs[-1]
        own = searched(still_open)
        left = sum(max(typical - t.iteration, self._rungs[0] / 2) for t in own) + to_come * typical
        if replicates:
            begun = sum(t.iteration for t in still_open if t.replicate_of is not None)
            left += max((replicates[1] - replicates[0]) * self._rungs[-1] - begun, 0)
        return pace_s * left / max(self._workers, 1)
