"""Where a parameter's values lie between 0 and 1, and back."""

import math
import random
from collections.abc import Mapping

from search_spaces.parameters import (
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    Value,
    same_value,
)
from search_spaces.space import SearchSpace


def place(parameter: Parameter, value: Value) -> float:
    """Where a value lies between the ends of its range, 0 to 1, on its own scale; choices in their order."""
    match parameter:
        case CategoricalParameter(choices=choices):
            index = next(i for i, choice in enumerate(choices) if same_value(choice, value))
            return index / max(1, len(choices) - 1)
        case FloatParameter(low=low, high=high) | IntParameter(low=low, high=high):
            if low == high:
                return 0.0
            if parameter.log:
                return math.log(float(value) / low) / math.log(high / low)
            return (float(value) - low) / (high - low)


def value_at(parameter: Parameter, where: float) -> Value:
    """The value nearest to a place between 0 and 1."""
    match parameter:
        case CategoricalParameter(choices=choices):
            return choices[round(where * (len(choices) - 1))]
        case FloatParameter(low=low, high=high, log=log, step=step):
            if log:
                return min(high, max(low, low * math.pow(high / low, where)))
            if step is None:
                return min(high, max(low, low + where * (high - low)))
            return min(low + round(where * (high - low) / step) * step, high)
        case IntParameter(low=low, high=high, log=log, step=step):
            exact = low * math.pow(high / low, where) if log else low + where * (high - low)
            return min(low + round((exact - low) / step) * step, low + (high - low) // step * step)


def draw(space: SearchSpace, rng: random.Random) -> dict[str, Value]:
    """Parameters drawn evenly on their scales."""
    params: dict[str, Value] = {}
    for parameter in space.parameters:  # parents come before children
        if space.is_active(parameter, params):
            params[parameter.name] = _drawn(parameter, rng)
    return params


def places(space: SearchSpace, params: Mapping[str, Value]) -> dict[str, float]:
    """The place of each parameter that `params` has, by name."""
    return {p.name: place(p, params[p.name]) for p in space.parameters if p.name in params}


def _drawn(parameter: Parameter, rng: random.Random) -> Value:
    if isinstance(parameter, CategoricalParameter):
        return rng.choice(parameter.choices)
    return value_at(parameter, rng.random())
