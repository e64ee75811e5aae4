"""Parameters on a common scale: values as positions in [0, 1), and the values of a range one by one."""

import math

from search_spaces.parameters import (
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    Value,
    same_value,
)

_BELOW_ONE = math.nextafter(1.0, 0.0)


def count_of(parameter: Parameter) -> int | None:
    """How many values a parameter has; None if they lie without gaps."""
    match parameter:
        case CategoricalParameter(choices=choices):
            return len(choices)
        case IntParameter(low=low, high=high, step=step):
            return (high - low) // step + 1
        case FloatParameter(low=low, high=high, step=step):
            if step is not None:
                return int((high - low) / step + 1e-8) + 1
            return 1 if low == high else None


def value_number(parameter: Parameter, place: int) -> Value:
    """One of the values of a parameter that has a number of them.

    Args:
        parameter: One for which `count_of` is a number.
        place: From 0 up to that number, in the order of the choices or ascending.
    """
    match parameter:
        case CategoricalParameter(choices=choices):
            return choices[place]
        case IntParameter(low=low, step=step):
            return low + place * step
        case FloatParameter(low=low, high=high, step=step):
            return float(low) if step is None else float(f"{min(high, low + place * step):.12g}")


def place_of(parameter: Parameter, value: Value) -> int:
    """The inverse of `value_number`; a value beside the grid is at the nearest place."""
    match parameter:
        case CategoricalParameter(choices=choices):
            return next(place for place, choice in enumerate(choices) if same_value(choice, value))
        case IntParameter(low=low, step=step):
            return round((float(value) - low) / step)
        case FloatParameter(low=low, step=step):
            return 0 if step is None else round((float(value) - low) / step)


def value_at(parameter: Parameter, position: float) -> Value:
    """The value at a position; evenly spread positions give evenly spread values, or choices.

    Args:
        parameter: Any.
        position: From 0 to 1; on a range 0 is its low end, and with a logarithmic scale the middle is the
            geometric mean.
    """
    position = min(max(position, 0.0), 1.0)
    count = count_of(parameter)
    match parameter:
        case FloatParameter(low=low, high=high, log=log) if count is None:
            if position in (0.0, 1.0):  # the ends, whatever rounding would make of them
                return float(high if position else low)
            if not log:
                return _between(low, high, position)
            return min(max(math.exp(_between(math.log(low), math.log(high), position)), low), high)
        case IntParameter(low=low, high=high, log=True):
            exact = math.exp(_between(math.log(low - 0.5), math.log(high + 0.5), position))
            return min(max(round(exact), low), high)
        case _:
            assert count is not None  # all others have a number of values
            return value_number(parameter, int(min(position, _BELOW_ONE) * count))


def position_of(parameter: Parameter, value: Value) -> float:
    """A position at which `value_at` gives the value: where there are gaps, the middle of those."""
    count = count_of(parameter)
    match parameter:
        case FloatParameter(low=low, high=high, log=log) if count is None:
            if not log:
                return (float(value) - low) / (high - low)
            return math.log(float(value) / low) / math.log(high / low)
        case IntParameter(low=low, high=high, log=True):
            return math.log(float(value) / (low - 0.5)) / math.log((high + 0.5) / (low - 0.5))
        case _:
            assert count is not None
            return (place_of(parameter, value) + 0.5) / count


def _between(low: float, high: float, position: float) -> float:
    return low + position * (high - low)
