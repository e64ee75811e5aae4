"""Optuna's own pruners, for one objective without constraints on the comparison.

Rung k is step `reduction_factor ** k`: our rungs are those of successive halving and Hyperband, whatever
their spacing in iterations.
"""

import sys
import warnings
from collections.abc import Mapping

import optuna
from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    PatientPruner,
    PercentilePruner,
    SuccessiveHalvingPruner,
)
from optuna.storages import BaseStorage
from optuna.study import Study

from sweeps.core.pruner import Pruner
from sweeps.core.spec import SweepSpec
from sweeps.core.states import TrialState
from sweeps.pruning.brackets import bracket_of
from sweeps.pruning.rules import Reading

_WORST = sys.float_info.max


def step_of(pruner: Pruner, rung: int) -> int:
    """The step that stands for a rung in the study."""
    return int(pruner.reduction_factor**rung)


class OptunaRule:
    """Asks an Optuna pruner about the study, in which the sampler keeps each rung's value.

    What successive halving notes of a trial (`completed_rung_<k>`) is among its attributes in the store.
    """

    def __init__(self, spec: SweepSpec, study: Study, storage: BaseStorage) -> None:
        self._study, self._storage, self._spec = study, storage, spec.pruner
        self._rungs, self._maximize = len(spec.fidelity.rungs), spec.objectives[0].goal == "maximize"
        self._study_id = storage.get_study_id_from_name(study.study_name)
        self._pruner = _pruner(spec.pruner, self._rungs)

    def take(self, reading: Reading) -> None:
        """The study has it already."""

    def end(self, number: int, state: TrialState, metrics: Mapping[str, float]) -> None:
        """The study has it already."""

    def against(self, number: int, rung: int) -> str | None:
        """Why Optuna would prune."""
        trial_id = self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number)
        if step_of(self._spec, rung) not in self._storage.get_trial(trial_id).intermediate_values:
            return None
        if self._spec.type in ("successive_halving", "hyperband"):
            self._skip_unmeasured(number, trial_id, rung)
        if not self._pruner.prune(self._study, self._storage.get_trial(trial_id)):
            return None
        return _words(self._spec)

    def note(self, number: int, rung: int) -> None:
        """Marks that a trial came to a rung, as `against` does, without a judgement."""
        if self._spec.type not in ("successive_halving", "hyperband"):
            return
        trial_id = self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number)
        value = self._storage.get_trial(trial_id).intermediate_values.get(step_of(self._spec, rung))
        first = self._first_rung(number)
        if value is not None and rung >= first:
            self._skip_unmeasured(number, trial_id, rung)
            self._storage.set_trial_system_attr(trial_id, f"completed_rung_{rung - first}", value)

    def _first_rung(self, number: int) -> int:
        """Where halving begins for a trial."""
        if self._spec.type != "hyperband":
            return 0
        return bracket_of(number, self._rungs, self._spec.reduction_factor)

    def _skip_unmeasured(self, number: int, trial_id: int, rung: int) -> None:
        """Marks rungs that had no value as lost, lest a later, longer trained value compete in them."""
        trial, first = self._storage.get_trial(trial_id), self._first_rung(number)
        for earlier in range(first, rung):
            key = f"completed_rung_{earlier - first}"
            if key in trial.system_attrs or step_of(self._spec, earlier) in trial.intermediate_values:
                continue
            worst = -_WORST if self._maximize else _WORST
            self._storage.set_trial_system_attr(trial_id, key, worst)


def _pruner(spec: Pruner, rungs: int) -> BasePruner:
    factor = spec.reduction_factor
    warmup = step_of(spec, spec.warmup_rungs) if spec.warmup_rungs else 0
    match spec.type:
        case "successive_halving":
            return SuccessiveHalvingPruner(min_resource=1, reduction_factor=factor)
        case "hyperband":
            last = step_of(spec, rungs - 1)
            # half a rung more, lest a logarithm rounded down loses a bracket
            return HyperbandPruner(1, max_resource=last + last // 2, reduction_factor=factor)
        case "median":
            return MedianPruner(n_startup_trials=spec.startup_trials, n_warmup_steps=warmup)
        case "percentile":
            return PercentilePruner(
                spec.percentile, n_startup_trials=spec.startup_trials, n_warmup_steps=warmup
            )
        case "patient":
            bare = spec.inner == "none"
            inner = None if bare else _pruner(spec.model_copy(update={"type": spec.inner}), rungs)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                return PatientPruner(inner, patience=spec.patience, min_delta=spec.min_delta)
        case _:
            raise ValueError(f"{spec.type} is no pruner of Optuna's over the values of a trial")


def _words(spec: Pruner) -> str:
    match spec.type:
        case "median":
            return "behind the median there"
        case "percentile":
            return f"not in the best {spec.percentile:g}% there"
        case "patient":
            return f"no better for {spec.patience + 1} rung{'s' if spec.patience else ''}"
        case "hyperband":
            return f"not in the best 1/{spec.reduction_factor} of its bracket there"
        case _:
            return f"not in the best 1/{spec.reduction_factor} there"
