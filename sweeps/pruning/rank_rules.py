"""Rules for several objectives, or for constraints: trials are compared as wholes, by domination.

Successive halving over ranks is Schmucker et al., Multi-objective Asynchronous Successive Halving,
https://arxiv.org/abs/2106.12639, with NSGA-II's crowding distance in the place of their epsilon net: it needs
no seed point, and protects the best in each objective.
"""

from collections.abc import Mapping

from sweeps.core.fronts import Standing, among_best, beats
from sweeps.core.ranking import bounds_of, objectives_of, scores, violation
from sweeps.core.spec import SweepSpec
from sweeps.core.states import TrialState
from sweeps.pruning.brackets import bracket_of
from sweeps.pruning.rules import Reading


class Standings:
    """How trials stood at each rung; those that lacked an objective there are left out."""

    def __init__(self, spec: SweepSpec) -> None:
        self._objectives, self._bounds = objectives_of(spec), bounds_of(spec)
        self._at: list[dict[int, Standing]] = [{} for _ in spec.fidelity.rungs]

    def take(self, reading: Reading) -> None:
        """Takes a reading in. What is not measured breaks no constraint here, as it does at the end."""
        got = scores(reading.metrics, self._objectives)
        if got is not None:
            measured = [bound for bound in self._bounds if bound[0] in reading.metrics]
            self._at[reading.rung][reading.number] = Standing(violation(reading.metrics, measured), got)

    def at(self, rung: int) -> Mapping[int, Standing]:
        """By trial number."""
        return self._at[rung]

    def whole(self, metrics: Mapping[str, float]) -> bool:
        """Whether every objective is measured."""
        return scores(metrics, self._objectives) is not None


class RankRule:
    """Asynchronous successive halving: the best of those at a rung pass it, one in `reduction_factor`.

    All that ever came to the rung count, whatever became of them; with Hyperband, those of the same bracket.

    Attributes:
        standings: How trials stood at each rung.
    """

    def __init__(self, spec: SweepSpec) -> None:
        self.standings, self._factor = Standings(spec), spec.pruner.reduction_factor
        self._rungs, self._hyperband = len(spec.fidelity.rungs), spec.pruner.type == "hyperband"

    def take(self, reading: Reading) -> None:
        """Takes a reading in."""
        self.standings.take(reading)

    def end(self, number: int, state: TrialState, metrics: Mapping[str, float]) -> None:
        """An end changes nothing: what was measured at a rung counts on."""

    def against(self, number: int, rung: int) -> str | None:
        """Why a trial is not among the best at a rung."""
        there, bracket = self.standings.at(rung), self._bracket(number)
        if number not in there or rung < bracket:
            return None
        others = [
            standing
            for other, standing in there.items()
            if other != number and self._bracket(other) == bracket
        ]
        places = max(1, (len(others) + 1) // self._factor)
        if among_best(there[number], others, places):
            return None
        where = "of its bracket there" if self._hyperband else "there"
        return f"not among the best {places} of {len(others) + 1} {where}"

    def _bracket(self, number: int) -> int:
        return bracket_of(number, self._rungs, self._factor) if self._hyperband else 0


class DominanceRule:
    """The median and percentile rules: a trial stops if too many of the completed ones beat it at the rung.

    With one objective half of all values are better than the median; so with several a trial stops that more
    than half of the others dominate. Who is best in one objective is dominated by nobody.
    """

    def __init__(self, spec: SweepSpec) -> None:
        self._standings, self._completed = Standings(spec), set[int]()
        self._warmup, self._startup = spec.pruner.warmup_rungs, spec.pruner.startup_trials
        self._share = 0.5 if spec.pruner.type == "median" else spec.pruner.percentile / 100

    def take(self, reading: Reading) -> None:
        """Takes a reading in."""
        self._standings.take(reading)

    def end(self, number: int, state: TrialState, metrics: Mapping[str, float]) -> None:
        """Takes an end in: only trials that completed are the bar."""
        if state is TrialState.COMPLETED and self._standings.whole(metrics):
            self._completed.add(number)

    def against(self, number: int, rung: int) -> str | None:
        """Why a trial is behind at a rung."""
        there = self._standings.at(rung)
        if number not in there or rung < self._warmup or len(self._completed) < self._startup:
            return None
        others = [there[other] for other in self._completed if other in there]
        ahead = sum(beats(other, there[number]) for other in others)
        if ahead <= self._share * len(others):
            return None
        return f"beaten by {ahead} of {len(others)} completed trials there"
