"""Suggestions, and what Optuna knows of a sweep; early stopping is `sweeps.pruning`.

The study lives in memory and is rebuilt from the store's rows. Each trial gets a sampler of its own, seeded
from the sweep's seed and the trial's number, so that a suggestion depends on nothing but the seed and the
answers so far, restart or not. Whatever else Optuna keeps (a pruner's marks, a generation's parents) is in
`attrs`.

How trials end for Optuna: COMPLETED is COMPLETE, PRUNED is PRUNED, FAILED and CANCELLED are FAIL, which its
samplers pass over. INFEASIBLE has something to teach, and samplers see only COMPLETE and PRUNED: it is PRUNED
and breaks a constraint, which ranks it below everything that could be measured.
"""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, assert_never

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.pruners import NopPruner
from optuna.samplers import BaseSampler, NSGAIISampler, QMCSampler, RandomSampler, TPESampler
from optuna.storages import InMemoryStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, create_trial
from optuna.trial import TrialState as OptunaState

from search_spaces.parameters import CategoricalParameter, FloatParameter, IntParameter, Parameter, Value
from sweeps.core.states import TrialState
from sweeps.core.trial import Measurement, Suggestion
from sweeps.pruning.brackets import STUDY
from sweeps.pruning.pruning import Pruning

if TYPE_CHECKING:
    from sweeps.core.details import EvaluationDetails
    from sweeps.core.spec import SweepSpec
    from sweeps.records import TrialRecord

optuna.logging.set_verbosity(optuna.logging.ERROR)

_RELATIVE = "tpe:relative_params:0"
_INFEASIBLE = "constraints:infeasible"
_STUDY = "study:"


def trial_seed(seed: int, number: int) -> int:
    """The seed of a trial, 0 to 2**31 - 1, from the sweep's seed and the trial's number."""
    digest = hashlib.sha256(f"{seed}:{number}".encode()).digest()
    return int.from_bytes(digest[:4], "big") & 0x7FFF_FFFF


class OptunaSampler:
    """Suggests trials and decides at rungs which of them to stop.

    Args:
        spec: The sweep's spec: its space, objectives, constraints, sampler, pruner and rungs.
        seed: The sweep's seed.
    """

    def __init__(self, spec: SweepSpec, seed: int) -> None:
        self._spec, self._seed = spec, seed
        self._parameters: tuple[Parameter, ...] = spec.space.parameters
        self._distributions = {p.name: _distribution(p) for p in self._parameters}
        self._objectives = tuple(o.metric for o in spec.objectives)
        self._storage = InMemoryStorage()
        self._study = optuna.create_study(
            storage=self._storage,
            study_name=STUDY,
            directions=[o.goal for o in spec.objectives],
            sampler=RandomSampler(seed=0),
            pruner=NopPruner(),  # with Hyperband's here, samplers would learn from a trial's bracket alone
        )
        self._study_id = self._storage.get_study_id_from_name(STUDY)
        self._pruning = Pruning(spec, self._study, self._storage)
        self._asked: dict[int, dict[str, Any]] = {}  # what each trial's suggestion left in the study

    @property
    def study(self) -> Study:
        """The study as Optuna knows it, to look at: importances, Pareto front."""
        return self._study

    def replay(self, trials: Sequence[TrialRecord], measurements: Sequence[Measurement]) -> None:
        """Rebuilds the study from the store's rows; once, before anything else.

        Args:
            trials: All of the sweep's trials, by number from 0 without a gap.
            measurements: All of its measurements.
        """
        values: dict[int, dict[int, float]] = {}
        for m in measurements:
            step, value = self._pruning.step(m.iteration), self._value(m.metrics)
            if step is not None and value is not None:
                values.setdefault(m.number, {})[step] = value
        for trial in trials:
            attrs = dict(trial.sampler_attrs)
            asked = {k.removeprefix(_STUDY): attrs.pop(k) for k in list(attrs) if k.startswith(_STUDY)}
            self._asked[trial.number] = asked
            for key, left in asked.items():
                self._storage.set_study_system_attr(self._study_id, key, left)
            state, scores, more = self._told(trial.state, trial.metrics)
            self._study.add_trial(
                create_trial(
                    state=state,
                    values=scores,
                    params=dict(trial.params),
                    distributions={name: self._distributions[name] for name in trial.params},
                    intermediate_values=values.get(trial.number, {}),
                    system_attrs={**attrs, **more},
                )
            )
            if self._frozen(trial.number).params != dict(trial.params):
                raise AssertionError(f"trial {trial.number} did not come back as it was stored")
        self._pruning.replay(trials, measurements)

    def recall(self, details_of: Callable[[int], Mapping[int, EvaluationDetails]]) -> None:
        """After `replay`: reads what the pruner needs of some trials' details, given by iteration."""
        self._pruning.recall(details_of)

    def suggest(self, number: int) -> Suggestion:
        """Parameters for the next trial, which is then RUNNING for the sampler.

        Args:
            number: The trial's number: how many there are already.
        """
        before = dict(self._storage.get_study_system_attrs(self._study_id))
        self._study.sampler = self._sampler(trial_seed(self._seed, number))
        trial = self._study.ask()
        if trial.number != number:
            raise ValueError(f"the next trial is {trial.number}, but {number} was asked for")
        params: dict[str, Value] = {}
        for parameter in self._parameters:  # parents come before children
            if self._spec.space.is_active(parameter, params):
                params[parameter.name] = _suggested(trial, parameter)
        if _RELATIVE in self._frozen(number).system_attrs:
            # what TPE drew for inactive parameters too; the trial's own are all known by now
            self._storage.set_trial_system_attr(self._id(number), _RELATIVE, "")
        after = self._storage.get_study_system_attrs(self._study_id)
        self._asked[number] = {k: v for k, v in after.items() if k not in before or before[k] != v}
        return Suggestion(number, params, trial_seed(self._seed, number))

    def observe(
        self,
        number: int,
        iteration: int,
        metrics: Mapping[str, float],
        details: EvaluationDetails | None = None,
    ) -> str | None:
        """Takes a rung's evaluation in; why the trial should be pruned, or None.

        A rung that was observed already keeps its value. Without the objective among the metrics, nothing
        is learnt and nothing compared. The last rung prunes nothing.
        """
        if self._pruning.knows(number, iteration):
            return None
        step, value = self._pruning.step(iteration), self._value(metrics)
        if step is not None and value is not None:
            self._storage.set_trial_intermediate_value(self._id(number), step, value)
        return self._pruning.observe(number, iteration, metrics, details)

    def attrs(self, number: int) -> dict[str, Any]:
        """What has to be stored for this trial, so that `replay` makes the same study again. JSON."""
        kept = {
            k: v
            for k, v in self._frozen(number).system_attrs.items()
            if not k.startswith("tpe:relative_params")
        }
        return kept | {_STUDY + key: value for key, value in self._asked.get(number, {}).items()}

    def finish(self, number: int, state: TrialState, metrics: Mapping[str, float]) -> None:
        """Takes a trial's end in; `metrics` are those of its last measured rung."""
        told, scores, more = self._told(state, metrics)
        for key, value in more.items():
            self._storage.set_trial_system_attr(self._id(number), key, value)
        self._storage.set_trial_state_values(self._id(number), told, scores)
        self._pruning.end(number, state, metrics)

    # -- details

    def _id(self, number: int) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number)

    def _frozen(self, number: int) -> FrozenTrial:
        return self._storage.get_trial(self._id(number))

    def _value(self, metrics: Mapping[str, float]) -> float | None:
        """What the study has of a rung: the objective, or None if it was not measured.

        Several objectives are no one value: NaN then says how far the trial came. TPE orders pruned trials by
        that, and would look for a single direction if there was a number.
        """
        values = [metrics.get(name, math.nan) for name in self._objectives]
        if not all(map(math.isfinite, values)):
            return None
        return float(values[0]) if len(values) == 1 else math.nan

    def _told(
        self, state: TrialState, metrics: Mapping[str, float]
    ) -> tuple[OptunaState, list[float] | None, dict[str, Any]]:
        """A trial's state, values and further attributes for Optuna."""
        scores = [metrics[name] for name in self._objectives if math.isfinite(metrics.get(name, math.nan))]
        measured = len(scores) == len(self._objectives)
        match state:
            case TrialState.QUEUED | TrialState.RUNNING:
                return OptunaState.RUNNING, None, {}
            case TrialState.COMPLETED if measured:
                return OptunaState.COMPLETE, scores, self._constraints(metrics)
            case TrialState.PRUNED:
                return OptunaState.PRUNED, scores if measured else None, self._constraints(metrics)
            case TrialState.INFEASIBLE | TrialState.COMPLETED:
                return OptunaState.PRUNED, None, {_INFEASIBLE: 1.0}
            case TrialState.FAILED | TrialState.CANCELLED:
                return OptunaState.FAIL, None, {}
            case _:
                assert_never(state)

    def _constraints(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """By how much each constraint is broken, 0 or less if it is kept. What is not measured breaks it."""
        broken: dict[str, float] = {}
        for constraint in self._spec.constraints:
            value = metrics.get(constraint.metric)
            if constraint.max is not None:
                over = 1.0 if value is None else value - constraint.max
                broken[f"constraints:{constraint.metric} max"] = over
            if constraint.min is not None:
                under = 1.0 if value is None else constraint.min - value
                broken[f"constraints:{constraint.metric} min"] = under
        return broken

    def _sampler(self, seed: int) -> BaseSampler:
        kind, startup = self._spec.sampler.type, self._spec.sampler.startup_trials
        match kind:
            case "tpe":
                if not any(p.when for p in self._parameters):
                    return TPESampler(seed=seed, n_startup_trials=startup)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                    return TPESampler(seed=seed, n_startup_trials=startup, multivariate=True, group=True)
            case "random":
                return RandomSampler(seed=seed)
            case "qmc":
                return _Sobol(self._distributions, seed)
            case "nsga2":
                return NSGAIISampler(seed=seed, population_size=max(2, startup))
            case _:
                assert_never(kind)


class _Sobol(QMCSampler):
    """Optuna's Sobol sequence over the whole space, conditional parameters included."""

    def __init__(self, space: Mapping[str, BaseDistribution], seed: int) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            super().__init__(seed=seed, warn_independent_sampling=False)
        self._space = {name: d for name, d in space.items() if not d.single()}

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Every parameter that has a choice, from the first trial on."""
        return dict(self._space)


def _distribution(parameter: Parameter) -> BaseDistribution:
    match parameter:
        case FloatParameter(low=low, high=high, log=log, step=step):
            return FloatDistribution(low, high, log=log, step=step)
        case IntParameter(low=low, high=high, log=log, step=step):
            return IntDistribution(low, high, log=log, step=step)
        case CategoricalParameter(choices=choices):
            return CategoricalDistribution(choices)
        case _:
            assert_never(parameter)


def _suggested(trial: optuna.Trial, parameter: Parameter) -> Value:
    match parameter:
        case FloatParameter(name=name, low=low, high=high, log=log, step=step):
            return trial.suggest_float(name, low, high, log=log, step=step)
        case IntParameter(name=name, low=low, high=high, log=log, step=step):
            return trial.suggest_int(name, low, high, log=log, step=step)
        case CategoricalParameter(name=name, choices=choices):
            value: Value = trial.suggest_categorical(name, choices)  # type: ignore[assignment]
            return value
        case _:
            assert_never(parameter)
