"""Suggestions, and what Optuna knows of a sweep; early stopping is `sweeps.pruning`.

The study lives in memory and is rebuilt from the store's rows. Each trial gets a sampler of its own, seeded
from the sweep's seed and the trial's number, so that a suggestion depends on nothing but the seed and the
answers so far, restart or not. Whatever else Optuna keeps (a pruner's marks, a generation's parents) is in
`attrs`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import optuna
from optuna.pruners import NopPruner
from optuna.samplers import RandomSampler
from optuna.storages import InMemoryStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, create_trial

from search_spaces.parameters import Parameter, Value
from sweeps.core.trial import Measurement, Suggestion
from sweeps.pruning.brackets import STUDY
from sweeps.pruning.pruning import Pruning
from sweeps.samplers.distributions import distribution_of, suggested
from sweeps.samplers.kinds import sampler_of
from sweeps.samplers.outcomes import Outcomes
from sweeps.samplers.seeds import trial_seed

if TYPE_CHECKING:
    from sweeps.core.details import EvaluationDetails
    from sweeps.core.spec import SweepSpec
    from sweeps.core.states import TrialState
    from sweeps.records import TrialRecord

optuna.logging.set_verbosity(optuna.logging.ERROR)

_RELATIVE = "tpe:relative_params:0"
_STUDY = "study:"


class OptunaSampler:
    """Suggests trials and decides at rungs which of them to stop.

    Args:
        spec: The sweep's spec: its space, objectives, constraints, sampler, pruner and rungs.
        seed: The sweep's seed.
    """

    def __init__(self, spec: SweepSpec, seed: int) -> None:
        self._spec, self._seed = spec, seed
        self._parameters: tuple[Parameter, ...] = spec.space.parameters
        self._distributions = {p.name: distribution_of(p) for p in self._parameters}
        self._outcomes = Outcomes(spec)
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
            step, value = self._pruning.step(m.iteration), self._outcomes.value(m.metrics)
            if step is not None and value is not None:
                values.setdefault(m.number, {})[step] = value
        for trial in trials:
            attrs = dict(trial.sampler_attrs)
            asked = {k.removeprefix(_STUDY): attrs.pop(k) for k in list(attrs) if k.startswith(_STUDY)}
            self._asked[trial.number] = asked
            for key, left in asked.items():
                self._storage.set_study_system_attr(self._study_id, key, left)
            told = self._outcomes.told(trial.state, trial.metrics)
            self._study.add_trial(
                create_trial(
                    state=told.state,
                    values=told.values,
                    params=dict(trial.params),
                    distributions={name: self._distributions[name] for name in trial.params},
                    intermediate_values=values.get(trial.number, {}),
                    system_attrs={**attrs, **told.constraints},
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
        self._study.sampler = sampler_of(self._spec, self._distributions, trial_seed(self._seed, number))
        trial = self._study.ask()
        if trial.number != number:
            raise ValueError(f"the next trial is {trial.number}, but {number} was asked for")
        params: dict[str, Value] = {}
        for parameter in self._parameters:  # parents come before children
            if self._spec.space.is_active(parameter, params):
                params[parameter.name] = suggested(trial, parameter)
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
        step, value = self._pruning.step(iteration), self._outcomes.value(metrics)
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
        told = self._outcomes.told(state, metrics)
        for key, value in told.constraints.items():
            self._storage.set_trial_system_attr(self._id(number), key, value)
        self._storage.set_trial_state_values(self._id(number), told.state, told.values)
        self._pruning.end(number, state, metrics)

    # -- details

    def _id(self, number: int) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number)

    def _frozen(self, number: int) -> FrozenTrial:
        return self._storage.get_trial(self._id(number))
