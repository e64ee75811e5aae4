"""Parameters in Optuna's terms."""

from typing import assert_never

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from search_spaces.parameters import CategoricalParameter, FloatParameter, IntParameter, Parameter


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
