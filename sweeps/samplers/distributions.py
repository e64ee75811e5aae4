"""Parameters in Optuna's terms."""

from typing import assert_never

from optuna import Trial
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from search_spaces.parameters import CategoricalParameter, FloatParameter, IntParameter, Parameter, Value


def distribution_of(parameter: Parameter) -> BaseDistribution:
    """The parameter's range or choices, without its conditions."""
    match parameter:
        case FloatParameter(low=low, high=high, log=log, step=step):
            return FloatDistribution(low, high, log=log, step=step)
        case IntParameter(low=low, high=high, log=log, step=step):
            return IntDistribution(low, high, log=log, step=step)
        case CategoricalParameter(choices=choices):
            return CategoricalDistribution(choices)
        case _:
            assert_never(parameter)


def suggested(trial: Trial, parameter: Parameter) -> Value:
    """What the trial's sampler says to a parameter."""
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
