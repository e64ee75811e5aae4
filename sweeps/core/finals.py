"""Who leads a sweep, and whose checkpoints are worth keeping, with finalists that ran more than once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from sweeps.core.keeping import best_of, places_of
from sweeps.core.ranking import bounds_of, front, leader, leaderboard, objectives_of, violation
from sweeps.core.replicates import Due, Result, Run, due, finalists, results, searched
from sweeps.core.spec import SweepSpec
from sweeps.core.states import TrialState

_Run = TypeVar("_Run", bound=Run)


@dataclass(frozen=True, slots=True)
class Standing(Generic[_Run]):
    """A trial of the search as it is ranked.

    Attributes:
        trial: The trial.
        metrics: Its own, or the means over its runs where it is a finalist by whose means is ranked.
        result: What it came to as a finalist that was run again, or None.
    """

    trial: _Run
    metrics: Mapping[str, float]
    result: Result[_Run] | None = None

    @property
    def number(self) -> int:
        """The trial's."""
        return self.trial.number

    @property
    def state(self) -> TrialState:
        """The trial's."""
        return self.trial.state

    @property
    def measured_iteration(self) -> int:
        """The trial's."""
        return self.trial.measured_iteration


class Finals:
    """The finals of a sweep, as functions of its trials.

    What takes `settled` ranks by means if that is true: the search has ended, and every replicate of it.
    Until then each trial of the search counts by its own single run.

    Args:
        spec: The sweep's.
    """

    def __init__(self, spec: SweepSpec) -> None:
        self.objectives, self.bounds = objectives_of(spec), bounds_of(spec)
        self.runs = spec.replicates.runs if spec.replicates else 1
        self.places = spec.replicates.finalists if spec.replicates else 0
        self.kept_places = places_of(spec)

    @property
    def wanted(self) -> bool:
        """Whether finalists are to be run again."""
        return self.runs > 1

    def due(self, trials: Iterable[_Run]) -> list[Due]:
        """The replicates that are still to be made, in order, once the search's trials have all ended."""
        if not self.wanted:
            return []
        return due(trials, self.objectives, self.bounds, places=self.places, runs=self.runs)

    def results(self, trials: Iterable[_Run]) -> dict[int, Result[_Run]]:
        """What the finalists came to, by number."""
        return {result.trial.number: result for result in results(trials, self.objectives)}

    def ranked(self, trials: Iterable[_Run], *, settled: bool) -> list[Standing[_Run]]:
        """The search's measured trials, best first.

        Finalists with two runs or more come first, by their means, if these keep the constraints. One whose
        other runs all failed has nothing but its first run, and stands with those that ran once.
        """
        firm, rest = self._parted(trials, settled)
        return [
            *leaderboard(firm, self.objectives, self.bounds),
            *leaderboard(rest, self.objectives, self.bounds),
        ]

    def leader(self, trials: Iterable[_Run], *, settled: bool) -> Standing[_Run] | None:
        """The first of `ranked`, in one pass."""
        if not settled:
            ahead = leader(searched(trials), self.objectives, self.bounds)
            return None if ahead is None else Standing(ahead, ahead.metrics)
        firm, rest = self._parted(trials, settled)
        return leader(firm, self.objectives, self.bounds) or leader(rest, self.objectives, self.bounds)

    def front(self, trials: Iterable[_Run], *, settled: bool) -> list[Standing[_Run]]:
        """The Pareto front in the order of `ranked`: of the finalists whose means decide, if any."""
        firm, rest = self._parted(trials, settled)
        return front(firm, self.objectives, self.bounds) or front(rest, self.objectives, self.bounds)

    def kept(self, trials: Iterable[_Run], *, settled: bool) -> tuple[tuple[int, ...], ...]:
        """Trials that have ended and whose checkpoints are worth keeping, in groups.

        Of each group the first is kept that still has any: its members are runs of one finalist, best first.
        Once settled those that are judged by their means come first.
        """
        ended = [trial for trial in trials if trial.state.terminal]
        if settled:
            firm, rest = self._parted(ended, settled)
            first = best_of(firm, self.objectives, self.bounds, self.kept_places)
            left = self.kept_places - len(first)
            if left and (not first or len(self.objectives) == 1):
                first += best_of(rest, self.objectives, self.bounds, left)
            return tuple(self.runs_of(standing) for standing in first)
        best = best_of(searched(ended), self.objectives, self.bounds, self.kept_places)
        groups: dict[int, tuple[int, ...]] = {trial.number: (trial.number,) for trial in best}
        if not self.wanted:
            return tuple(groups.values())
        found = self.results(ended)
        chosen = finalists(ended, self.objectives, self.bounds, self.places)
        for trial in [*chosen, *(result.trial for result in found.values())]:
            groups[trial.number] = self.runs_of(Standing(trial, {}, found.get(trial.number)))
        return tuple(groups.values())

    def runs_of(self, standing: Standing[_Run]) -> tuple[int, ...]:
        """Numbers of a trial's completed runs, best first; of one that was not run again its own."""
        if standing.result is None or not standing.result.runs:
            return (standing.number,)
        ordered = leaderboard(standing.result.runs, self.objectives, self.bounds)
        return tuple(run.number for run in ordered)

    def _parted(
        self, trials: Iterable[_Run], settled: bool
    ) -> tuple[list[Standing[_Run]], list[Standing[_Run]]]:
        """Finalists whose means decide, and all others."""
        trials = list(trials)
        found = self.results(trials)
        firm: list[Standing[_Run]] = []
        rest: list[Standing[_Run]] = []
        for trial in searched(trials):
            standing = Standing(trial, trial.metrics, found.get(trial.number))
            if settled and standing.result is not None and len(standing.result.runs) > 1:
                means = {name: each.mean for name, each in standing.result.metrics.items()}
                standing = replace(standing, metrics=means)
                (rest if violation(means, self.bounds) else firm).append(standing)
            else:
                rest.append(standing)
        return firm, rest
