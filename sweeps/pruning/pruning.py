"""Early stopping of one sweep: a rule, with what holds for all rules around it."""

import math
from collections.abc import Callable, Mapping, Sequence

from optuna.storages import BaseStorage
from optuna.study import Study

from sweeps.core.details import EvaluationDetails
from sweeps.core.ranking import bounds_of
from sweeps.core.spec import SweepSpec
from sweeps.core.states import TrialState
from sweeps.core.trial import Measurement
from sweeps.core.unmendable import unmendable
from sweeps.pruning.front_rule import FrontRule
from sweeps.pruning.image_rule import ImageRule
from sweeps.pruning.optuna_rule import OptunaRule, step_of
from sweeps.pruning.rank_rules import DominanceRule, RankRule
from sweeps.pruning.rules import NoRule, Reading, Rule
from sweeps.records import TrialRecord


class Pruning:
    """Decides at rungs which trials stop, from the first evaluation of each trial at each rung.

    Whatever the rule, but for `none`: the last rung stops nothing, a trial is compared only where all
    objectives were measured, and one that breaks a constraint which training cannot mend stops at once.

    Args:
        spec: The sweep's spec.
        study: Its study, in which the sampler keeps the values of rungs and the ends of trials.
        storage: The study's.
        known: Trials numbered below are of earlier sweeps, and only compared with. There are no image scores
            of them: the Wilcoxon rule passes over them.
    """

    def __init__(self, spec: SweepSpec, study: Study, storage: BaseStorage, known: int = 0) -> None:
        self._spec, self._bounds = spec, bounds_of(spec)
        self._rungs = {iteration: rung for rung, iteration in enumerate(spec.fidelity.rungs)}
        self._objectives = [objective.metric for objective in spec.objectives]
        self._rule, self._known = _rule(spec, study, storage, known), known
        self._read: set[tuple[int, int]] = set()

    def step(self, iteration: int) -> int | None:
        """The step that stands for a rung in the study; None between rungs."""
        return step_of(self._spec.pruner, self._rungs[iteration]) if iteration in self._rungs else None

    def replay(self, trials: Sequence[TrialRecord], measurements: Sequence[Measurement]) -> None:
        """Takes the store's rows in, once the study has them."""
        for each in measurements:
            self._take(each.number, each.iteration, each.metrics, None)
        for trial in trials:
            if trial.state.terminal:
                self.end(trial.number, trial.state, trial.metrics)

    def recall(self, details_of: Callable[[int], Mapping[int, EvaluationDetails]]) -> None:
        """After `replay`: takes in what only the Wilcoxon rule needs, of the few trials that it needs it of.

        Args:
            details_of: Gives a trial's stored details by iteration.
        """
        if isinstance(self._rule, ImageRule):
            for number in self._rule.wanted():
                for iteration, details in details_of(number).items():
                    if iteration in self._rungs and details.images is not None:
                        self._rule.recall(number, self._rungs[iteration], details.images)

    def knows(self, number: int, iteration: int) -> bool:
        """Whether the trial was evaluated there before: the first values count."""
        return (number, iteration) in self._read

    def observe(
        self,
        number: int,
        iteration: int,
        metrics: Mapping[str, float],
        details: EvaluationDetails | None = None,
    ) -> str | None:
        """Takes a rung's first evaluation in, once the study has it; why the trial should stop, or None."""
        reading = self._take(number, iteration, metrics, details)
        if reading is not None and number < self._known:
            if isinstance(self._rule, OptunaRule) and iteration != self._spec.fidelity.rungs[-1]:
                self._rule.note(number, reading.rung)
            return None
        if reading is None or iteration == self._spec.fidelity.rungs[-1] or self._spec.pruner.type == "none":
            return None
        why = unmendable(reading.metrics, self._bounds)
        if why is None and all(name in reading.metrics for name in self._objectives):
            why = self._rule.against(number, reading.rung)
        return why and f"{self._values(reading)} at iteration {iteration}: {why}".removeprefix(" ")

    def end(self, number: int, state: TrialState, metrics: Mapping[str, float]) -> None:
        """Takes a trial's end in; `metrics` are those of its last measured rung."""
        self._rule.end(number, state, _finite(metrics))

    def _take(
        self, number: int, iteration: int, metrics: Mapping[str, float], details: EvaluationDetails | None
    ) -> Reading | None:
        if iteration not in self._rungs or self.knows(number, iteration):
            return None
        self._read.add((number, iteration))
        reading = Reading(number, self._rungs[iteration], _finite(metrics), details)
        self._rule.take(reading)
        return reading

    def _values(self, reading: Reading) -> str:
        found = [name for name in self._objectives if name in reading.metrics]
        return ", ".join(f"{name} {reading.metrics[name]:.4g}" for name in found)


def _finite(metrics: Mapping[str, float]) -> Mapping[str, float]:
    """As the store will have them."""
    return {name: value for name, value in metrics.items() if math.isfinite(value)}


def _rule(spec: SweepSpec, study: Study, storage: BaseStorage, known: int) -> Rule:
    several = len(spec.objectives) > 1
    match spec.pruner.type:
        case "none":
            return NoRule()
        case "wilcoxon":
            return ImageRule(spec, known)
        case "successive_halving" if several:
            return FrontRule(spec)
        case "successive_halving" | "hyperband" if several or spec.constraints:
            return RankRule(spec)
        case "median" | "percentile" if several:
            return DominanceRule(spec)
        case _:
            return OptunaRule(spec, study, storage)
