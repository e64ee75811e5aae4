"""A sweep at a glance: counts, what runs, the best so far, and the time left."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sweeps.core.ranking import Bounds, Objectives, Ranked, leader
from sweeps.core.states import TrialState


class Tracked(Ranked, Protocol):
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
        total: Trials that the budget allows.
        counts: Trials in each state that any is in.
        running: What runs, by number.
        best: The leader, or None before the first measurement.
        changed: The trial that this is news of, or None.
        left_s: Estimated seconds to the end, or None while nothing has been measured.
        rungs: Iterations of each rung.
        kept: The best of the ended trials, or None: the only one of them that may yet be the leader.
    """

    ended: frozenset[int]
    total: int
    counts: Mapping[TrialState, int]
    running: tuple[Glimpse, ...]
    best: Glimpse | None
    changed: Glimpse | None
    left_s: float | None
    rungs: tuple[int, ...]
    kept: int | None = None


class Overview:
    """Sums up one sweep, again and again: what has ended is looked at once, as it does not change any more.

    Args:
        objectives: The sweep's,
        bounds: and its constraints.
        rungs: Iterations of each rung.
        workers: Trials at a time.
    """

    def __init__(
        self, objectives: Objectives, bounds: Bounds, *, rungs: tuple[int, ...], workers: int
    ) -> None:
        self._objectives, self._bounds, self._rungs, self._workers = objectives, bounds, rungs, workers
        self._ended: set[int] = set()
        self._counts: Counter[TrialState] = Counter()
        self._kept: Tracked | None = None
        self._worked_s, self._done, self._trained = 0.0, 0, 0  # of ended trials; the last: with iterations

    def at(self, trials: Iterable[Tracked], total: int, changed: Tracked | None = None) -> Progress:
        """The sweep at this moment, from all of its trials; `total` is what its budget allows."""
        still_open = [t for t in trials if t.number not in self._ended and not self._end(t)]
        kept = [] if self._kept is None else [self._kept]
        best = leader([*kept, *still_open], self._objectives, self._bounds)
        count = len(self._ended) + len(still_open)
        return Progress(
            ended=frozenset(self._ended),
            total=max(total, count),
            counts=self._counts + Counter(t.state for t in still_open),
            running=tuple(self._glimpse(t) for t in still_open if t.state is TrialState.RUNNING),
            best=self._glimpse(best) if best else None,
            kept=self._kept.number if self._kept else None,
            changed=self._glimpse(changed) if changed else None,
            left_s=self._left_s(still_open, max(total - count, 0)),
            rungs=self._rungs,
        )

    def _end(self, trial: Tracked) -> bool:
        """Whether a trial has ended; then it is taken into account."""
        if not trial.state.terminal:
            return False
        kept = [] if self._kept is None else [self._kept]
        self._kept = leader([*kept, trial], self._objectives, self._bounds)
        self._ended.add(trial.number)
        self._counts[trial.state] += 1
        self._worked_s += trial.worker_s
        self._done += trial.iteration
        self._trained += trial.iteration > 0
        return True

    def _glimpse(self, t: Tracked) -> Glimpse:
        rung = sum(r <= t.iteration for r in self._rungs)
        return Glimpse(t.number, t.state, t.iteration, rung, t.metrics, t.measured_iteration, t.reason)

    def _left_s(self, still_open: Sequence[Tracked], to_come: int) -> float | None:
        """What is left at the pace so far; early stopping counts by its effect on ended trials."""
        done = self._done + sum(t.iteration for t in still_open)
        if not done:
            return None
        pace_s = (self._worked_s + sum(t.worker_s for t in still_open)) / done
        typical = self._done / self._trained if self._trained else self._rungs[-1]
        left = sum(max(typical - t.iteration, self._rungs[0] / 2) for t in still_open)
        return pace_s * (left + to_come * typical) / max(self._workers, 1)
