"""Suggestions, and what Optuna knows of a sweep; early stopping is `sweeps.pruning`.

All of it is rebuilt from the store's rows. What is drawn for a trial depends on the seed of the trial and on
the lessons so far, restart or not; whatever else a sampler or a pruner has to find again is in `attrs`. The
study in memory is what Optuna's pruners and importances look at; samplers look at the lessons.

Trials that are known from earlier sweeps come before trial 0: within the study, the lessons and the pruning a
trial goes by its place, which is its number behind all of those.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import optuna
from optuna.pruners import NopPruner
from optuna.samplers import RandomSampler
from optuna.storages import InMemoryStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, create_trial
from optuna.trial import TrialState as OptunaState

from search_spaces.parameters import Value
from sweeps.core.states import TrialState
from sweeps.core.trial import Measurement, Suggestion
from sweeps.pruning.brackets import STUDY
from sweeps.pruning.pruning import Pruning
from sweeps.samplers.distributions import distribution_of
from sweeps.samplers.draws import Draw
from sweeps.samplers.kinds import drawer_of
from sweeps.samplers.lessons import Lessons
from sweeps.samplers.outcomes import Outcomes
from sweeps.samplers.rerun import again
from sweeps.samplers.seeds import trial_seed
from sweeps.samplers.tried import Tried

if TYPE_CHECKING:
    from sweeps.core.details import EvaluationDetails
    from sweeps.core.spec import SweepSpec
    from sweeps.records import TrialRecord
    from sweeps.warm.plan import KnownTrial, WarmPlan

optuna.logging.set_verbosity(optuna.logging.ERROR)


class OptunaSampler:
    """Suggests trials and decides at rungs which of them to stop.

    Args:
        spec: The sweep's spec: its space, objectives, constraints, sampler, pruner and rungs.
        seed: The sweep's seed.
        warm: What the sweep took over from earlier ones; None: nothing.
    """

    def __init__(self, spec: SweepSpec, seed: int, warm: WarmPlan | None = None) -> None:
        self._spec, self._seed = spec, seed
        self._distributions = {p.name: distribution_of(p) for p in spec.space.parameters}
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
        self._first = len(warm.known) if warm else 0
        self._reruns = warm.reruns if warm else ()
        self._pruning = Pruning(spec, self._study, self._storage, known=self._first)
        self._lessons, self._tried = Lessons(spec), Tried(spec.space)
        self._drawer = drawer_of(spec, self._lessons, seed)
        for trial in warm.known if warm else ():
            self._know(trial)

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
        trials = [replace(trial, number=self._first + trial.number) for trial in trials]
        measurements = [replace(m, number=self._first + m.number) for m in measurements]
        values: dict[int, dict[int, float]] = {}
        for m in measurements:
            step, value = self._pruning.step(m.iteration), self._outcomes.value(m.metrics)
            if step is not None and value is not None:
                values.setdefault(m.number, {})[step] = value
        for trial in trials:
            told = self._outcomes.told(trial.state, trial.metrics)
            self._study.add_trial(
                create_trial(
                    state=told.state,
                    values=told.values,
                    params=dict(trial.params),
                    distributions={name: self._distributions[name] for name in trial.params},
                    intermediate_values=values.get(trial.number, {}),
                    system_attrs={**trial.sampler_attrs, **told.constraints},
                )
            )
            if self._frozen(trial.number).params != dict(trial.params):
                raise AssertionError(f"trial {trial.number - self._first} did not come back as it was stored")
            self._learn(trial.params, trial.sampler_attrs)
        for m in measurements:
            self._lessons.measure(m.number, m.iteration, m.metrics)
        for trial in trials:
            self._end(trial.number, trial.state, trial.metrics)
        self._pruning.replay(trials, measurements)

    def recall(self, details_of: Callable[[int], Mapping[int, EvaluationDetails]]) -> None:
        """After `replay`: reads what the pruner needs of some trials' details, given by iteration."""
        self._pruning.recall(lambda place: details_of(place - self._first))

    def suggest(self, number: int) -> Suggestion | None:
        """Parameters for the next trial, which is then RUNNING for the sampler; None if all were tried.

        Args:
            number: The trial's number: how many there are already.
        """
        if self._first + number != len(self._lessons):
            expected = len(self._lessons) - self._first
            raise ValueError(f"the next trial is {expected}, but {number} was asked for")
        seed = trial_seed(self._seed, number)
        if number < len(self._reruns):
            draw: Draw | None = again(self._spec.space, self._reruns[number].params, self._drawer, seed)
        else:
            draw = self._tried.first_new(self._drawer, seed)
        if draw is None:
            return None
        self._begin(draw.params, draw.attrs)
        return Suggestion(number, draw.params, seed)

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
        return self._observe(self._first + number, iteration, metrics, details)

    def attrs(self, number: int) -> dict[str, Any]:
        """What has to be stored for this trial, so that `replay` makes the same study again. JSON."""
        return dict(self._frozen(self._first + number).system_attrs)

    def finish(self, number: int, state: TrialState, metrics: Mapping[str, float]) -> None:
        """Takes a trial's end in; `metrics` are those of its last measured rung."""
        self._finish(self._first + number, state, metrics)

    # -- details, by place

    def _know(self, trial: KnownTrial) -> None:
        """Takes a trial of an earlier sweep in as if it had run here; nothing is decided about it."""
        place = len(self._lessons)
        self._begin(trial.params, {})
        for iteration, metrics in trial.readings:
            self._observe(place, iteration, metrics)
        self._finish(place, trial.state, trial.metrics)

    def _begin(self, params: Mapping[str, Value], attrs: Mapping[str, Any]) -> None:
        self._study.add_trial(
            create_trial(
                state=OptunaState.RUNNING,
                params=dict(params),
                distributions={name: self._distributions[name] for name in params},
                system_attrs=dict(attrs),
            )
        )
        self._learn(params, attrs)

    def _observe(
        self,
        place: int,
        iteration: int,
        metrics: Mapping[str, float],
        details: EvaluationDetails | None = None,
    ) -> str | None:
        if self._pruning.knows(place, iteration):
            return None
        step, value = self._pruning.step(iteration), self._outcomes.value(metrics)
        if step is not None and value is not None:
            self._storage.set_trial_intermediate_value(self._id(place), step, value)
        self._lessons.measure(place, iteration, metrics)
        return self._pruning.observe(place, iteration, metrics, details)

    def _finish(self, place: int, state: TrialState, metrics: Mapping[str, float]) -> None:
        told = self._outcomes.told(state, metrics)
        for key, value in told.constraints.items():
            self._storage.set_trial_system_attr(self._id(place), key, value)
        self._storage.set_trial_state_values(self._id(place), told.state, told.values)
        self._end(place, state, metrics)
        self._pruning.end(place, state, metrics)

    def _learn(self, params: Mapping[str, Value], attrs: Mapping[str, Any]) -> None:
        self._lessons.begin(params, attrs)
        self._tried.add(params)

    def _end(self, place: int, state: TrialState, metrics: Mapping[str, float]) -> None:
        self._lessons.finish(place, state, metrics)
        if state is TrialState.CANCELLED:
            self._tried.remove(self._lessons[place].params)

    def _id(self, place: int) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._study_id, place)

    def _frozen(self, place: int) -> FrozenTrial:
        return self._storage.get_trial(self._id(place))
