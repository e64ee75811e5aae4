"""What a sampler is told of how a trial goes and ends.

COMPLETED is COMPLETE, PRUNED is PRUNED, FAILED and CANCELLED are FAIL, which Optuna's samplers pass over.
INFEASIBLE has something to teach, and samplers see only COMPLETE and PRUNED: it is PRUNED and breaks a
constraint, which ranks it below everything that could be measured.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import assert_never

from optuna.trial import TrialState as OptunaState

from sweeps.core.spec import SweepSpec
from sweeps.core.states import TrialState

_INFEASIBLE = "constraints:infeasible"


@dataclass(frozen=True, slots=True)
class Told:
    """A trial's state, values and constraints for Optuna.

    Attributes:
        state: RUNNING or an end.
        values: One finite number an objective, or None if one was not measured.
        constraints: System attribute -> by how much it is broken; 0 or less if it is kept.
    """

    state: OptunaState
    values: list[float] | None = None
    constraints: Mapping[str, float] = field(default_factory=dict)


class Outcomes:
    """Turns states and metrics into what Optuna knows of them, by a spec's objectives and constraints."""

    def __init__(self, spec: SweepSpec) -> None:
        self._objectives = tuple(objective.metric for objective in spec.objectives)
        self._constraints = spec.constraints

    def value(self, metrics: Mapping[str, float]) -> float | None:
        """What the study has of a rung: the objective, or None if it was not measured.

        Several objectives are no one value: NaN then says how far the trial came. TPE orders pruned trials by
        that, and would look for a single direction if there was a number.
        """
        values = [metrics.get(name, math.nan) for name in self._objectives]
        if not all(map(math.isfinite, values)):
            return None
        return float(values[0]) if len(values) == 1 else math.nan

    def told(self, state: TrialState, metrics: Mapping[str, float]) -> Told:
        """What is told of a trial in that state; `metrics` are those of its last measured rung."""
        scores = [metrics[name] for name in self._objectives if math.isfinite(metrics.get(name, math.nan))]
        measured = len(scores) == len(self._objectives)
        match state:
            case TrialState.QUEUED | TrialState.RUNNING:
                return Told(OptunaState.RUNNING)
            case TrialState.COMPLETED if measured:
                return Told(OptunaState.COMPLETE, scores, self._broken(metrics))
            case TrialState.PRUNED:
                return Told(OptunaState.PRUNED, scores if measured else None, self._broken(metrics))
            case TrialState.INFEASIBLE | TrialState.COMPLETED:
                return Told(OptunaState.PRUNED, None, {_INFEASIBLE: 1.0})
            case TrialState.FAILED | TrialState.CANCELLED:
                return Told(OptunaState.FAIL)
            case _:
                assert_never(state)

    def _broken(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """By how much each constraint is broken. What is not measured breaks it by 1."""
        broken: dict[str, float] = {}
        for constraint in self._constraints:
            value = metrics.get(constraint.metric)
            if constraint.max is not None:
                over = 1.0 if value is None else value - constraint.max
                broken[f"constraints:{constraint.metric} max"] = over
            if constraint.min is not None:
                under = 1.0 if value is None else constraint.min - value
                broken[f"constraints:{constraint.metric} min"] = under
        return broken
