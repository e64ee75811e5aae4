"""A sweep at a glance: counts, what runs, the best so far, and the time left."""

from collections import Counter
from collections.abc import Mapping, Sequence
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


def progress(
    trials: Sequence[Tracked],
    *,
    total: int,
    rungs: tuple[int, ...],
    workers: int,
    objectives: Objectives,
    bounds: Bounds = (),
    changed: Tracked | None = None,
) -> Progress:
    """Sums up a sweep whose budget is `total` trials on `workers` at a time."""
    ended = [t for t in trials if t.state.terminal]
    kept = leader(ended, objectives, bounds)
    best = leader(
        [*([kept] if kept else []), *(t for t in trials if not t.state.terminal)], objectives, bounds
    )

    def glimpse(t: Tracked) -> Glimpse:
        rung = sum(r <= t.iteration for r in rungs)
        return Glimpse(t.number, t.state, t.iteration, rung, t.metrics, t.measured_iteration, t.reason)

    return Progress(
        ended=frozenset(t.number for t in ended),
        total=max(total, len(trials)),
        counts=Counter(t.state for t in trials),
        running=tuple(glimpse(t) for t in trials if t.state is TrialState.RUNNING),
        best=glimpse(best) if best else None,
        kept=kept.number if kept else None,
        changed=glimpse(changed) if changed else None,
        left_s=_left_s(trials, total, rungs, workers),
        rungs=rungs,
    )


def _left_s(trials: Sequence[Tracked], total: int, rungs: tuple[int, ...], workers: int) -> float | None:
    """What is left in iterations, at the pace so far; early stopping counts by its effect on ended trials."""
    done = sum(t.iteration for t in trials)
    if not done:
        return None
    pace_s = sum(t.worker_s for t in trials) / done
    ended = [t.iteration for t in trials if t.state.terminal and t.iteration]
    typical = sum(ended) / len(ended) if ended else rungs[-1]
    open_trials = [t.iteration for t in trials if not t.state.terminal]
    left = sum(max(typical - iteration, rungs[0] / 2) for iteration in open_trials)
    left += max(total - len(trials), 0) * typical
    return pace_s * left / max(workers, 1)
