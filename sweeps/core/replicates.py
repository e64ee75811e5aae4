"""Finalists, run again with other seeds, so that a winner is not luck.

Once the search's own trials have all ended, the best of them, the *finalists*, are trained again in full with
other seeds. Such a *replicate* is a trial of its own. The finalists are then ranked by the means of all their
runs, before everything that ran only once.
"""

import hashlib
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from sweeps.core.fronts import best_first
from sweeps.core.ranking import Bounds, Objectives, Ranked, leaderboard, scores, violation
from sweeps.core.spec_fields import MAX_TRIALS
from sweeps.core.states import TrialState


class Run(Ranked, Protocol):
    """What replicates need of a trial."""

    @property
    def replicate_of(self) -> int | None:
        """The trial that it runs again, or None."""


_Run = TypeVar("_Run", bound=Run)


@dataclass(frozen=True, slots=True)
class Spread:
    """One metric over the runs that measured it, in its own unit.

    Attributes:
        mean: Of at least one value.
        deviation: Sample standard deviation, with n - 1 below the line; None of a single value.
        n: Values.
    """

    mean: float
    deviation: float | None
    n: int


@dataclass(frozen=True, slots=True)
class Due:
    """A replicate that is to be made: the `repeat`-th, from 1, of trial `finalist`."""

    finalist: int
    repeat: int

    @property
    def number(self) -> int:
        """Its number as a trial."""
        return replicate_number(self.finalist, self.repeat)


@dataclass(frozen=True, slots=True)
class Result(Generic[_Run]):
    """What a finalist came to.

    Attributes:
        trial: The finalist itself.
        runs: It and its replicates, as far as they COMPLETED with every objective measured.
        begun: It and its replicates, but for CANCELLED ones: what `runs` lacks of them failed or is not over.
        metrics: Over the runs, by name.
    """

    trial: _Run
    runs: tuple[_Run, ...]
    begun: int
    metrics: Mapping[str, Spread]


def replicate_number(finalist: int, repeat: int) -> int:
    """The number of a replicate, which no trial of the search has: 100007 and 200007 repeat trial 7.

    So the search's own numbers have no gap, whenever it goes on, and the store's key lets none be made twice.
    """
    return finalist + repeat * MAX_TRIALS


def repeat_of(number: int) -> int:
    """Which repeat a trial is, from 1; 0 for the search's own."""
    return number // MAX_TRIALS


def label(number: int) -> str:
    """A trial's number for people: `7`, or `7 run 2` of its first replicate."""
    repeat = repeat_of(number)
    return f"{number % MAX_TRIALS} run {repeat + 1}" if repeat else str(number)


def replicate_seed(seed: int, due: Due) -> int:
    """The seed of a replicate, 0 to 2**31 - 1, from the sweep's seed and whom it repeats."""
    digest = hashlib.sha256(f"{seed}:{due.finalist}:replicate:{due.repeat}".encode()).digest()
    return int.from_bytes(digest[:4], "big") & 0x7FFF_FFFF


def spread(values: Iterable[float]) -> Spread:
    """Mean and deviation of at least one finite value.

    Both are exact but for one rounding each, so that they do not depend on the order.
    """
    found = list(values)
    deviation = statistics.stdev(found) if len(found) > 1 else None
    return Spread(float(statistics.mean(found)), deviation, len(found))


def searched(trials: Iterable[_Run]) -> list[_Run]:
    """The search's own trials."""
    return [trial for trial in trials if trial.replicate_of is None]


def finalists(trials: Iterable[_Run], objectives: Objectives, bounds: Bounds, places: int) -> list[_Run]:
    """The best of the search's trials that COMPLETED and keep the constraints, best first.

    Of several objectives: the first non-dominated front, and if places are left the next one; of a front that
    is too large those that have most space to themselves in it, so that it is spanned.
    """
    able = [
        trial
        for trial in searched(trials)
        if trial.state is TrialState.COMPLETED
        and scores(trial.metrics, objectives) is not None
        and not violation(trial.metrics, bounds)
    ]
    if len(objectives) == 1:
        return leaderboard(able, objectives)[:places]
    by_scores: dict[tuple[float, ...], list[_Run]] = defaultdict(list)
    for trial in able:
        by_scores[scores(trial.metrics, objectives) or ()].append(trial)
    chosen: list[_Run] = []
    for point in best_first(by_scores):
        if len(chosen) >= places:
            break
        chosen += by_scores[point]
    return leaderboard(chosen[:places], objectives)


def due(
    trials: Iterable[_Run], objectives: Objectives, bounds: Bounds, *, places: int, runs: int
) -> list[Due]:
    """The replicates that are still to be made, in their order: all finalists' second runs, then the third.

    Of the rows alone, so that it is the same after a restart. A replicate that failed is not made up for; one
    that was CANCELLED is, by another.

    Args:
        trials: All of the sweep's; those of the search have ended.
        objectives: The sweep's.
        bounds: Its constraints.
        places: Finalists.
        runs: Of each finalist in all, its first one included.
    """
    trials = list(trials)
    made: dict[int, list[_Run]] = defaultdict(list)
    for trial in trials:
        if trial.replicate_of is not None:
            made[trial.replicate_of].append(trial)
    found: list[tuple[int, int, Due]] = []
    for place, finalist in enumerate(finalists(trials, objectives, bounds, places)):
        rows = made[finalist.number]
        counted = sum(row.state is not TrialState.CANCELLED for row in rows)
        last = max((repeat_of(row.number) for row in rows), default=0)
        for more, run in enumerate(range(counted + 1, runs), 1):
            found.append((run, place, Due(finalist.number, last + more)))
    return [each for _, _, each in sorted(found, key=lambda item: item[:2])]


def results(trials: Iterable[_Run], objectives: Objectives) -> list[Result[_Run]]:
    """What the finalists that were run again came to, by number; of those among the trials."""
    repeats: dict[int, list[_Run]] = defaultdict(list)
    own: dict[int, _Run] = {}
    for trial in trials:
        if trial.replicate_of is None:
            own[trial.number] = trial
        else:
            repeats[trial.replicate_of].append(trial)
    return [_result(own[number], repeats[number], objectives) for number in sorted(repeats) if number in own]


def _result(trial: _Run, repeats: Sequence[_Run], objectives: Objectives) -> Result[_Run]:
    counted = [trial, *(row for row in repeats if row.state is not TrialState.CANCELLED)]
    runs = tuple(
        row
        for row in sorted(counted, key=lambda row: row.number)
        if row.state is TrialState.COMPLETED and scores(row.metrics, objectives) is not None
    )
    return Result(trial, runs, len(counted), metrics_of(runs))


def metrics_of(runs: Sequence[Run]) -> dict[str, Spread]:
    """Each metric over the runs that measured it."""
    names = dict.fromkeys(name for row in runs for name in row.metrics)
    return {name: spread(row.metrics[name] for row in runs if name in row.metrics) for name in names}
