"""Optuna's samplers by the names that specs give them."""

import warnings
from collections.abc import Mapping
from typing import assert_never

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, NSGAIISampler, QMCSampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from sweeps.core.spec import SweepSpec


def sampler_of(spec: SweepSpec, distributions: Mapping[str, BaseDistribution], seed: int) -> BaseSampler:
    """The spec's sampler, for one trial with that seed."""
    startup = spec.sampler.startup_trials
    match spec.sampler.type:
        case "tpe":
            if not any(p.when for p in spec.space.parameters):
                return TPESampler(seed=seed, n_startup_trials=startup)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                return TPESampler(seed=seed, n_startup_trials=startup, multivariate=True, group=True)
        case "random":
            return RandomSampler(seed=seed)
        case "qmc":
            return _Sobol(distributions, seed)
        case "nsga2":
            return NSGAIISampler(seed=seed, population_size=max(2, startup))
        case _:
            assert_never(spec.sampler.type)


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
