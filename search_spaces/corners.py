"""Points at the edges of a space: where models are largest, smallest, or do not build at all."""

from collections.abc import Callable

from search_spaces.parameters import CategoricalParameter, FloatParameter, Parameter, Value
from search_spaces.space import SearchSpace

_TRAINING_ONLY = ("solver.", "augment.", "sampling.")
"""What changes no model: such edges come last."""

_Choose = Callable[[Parameter], Value]


def centre(space: SearchSpace) -> dict[str, Value]:
    """The middle of every range, on its scale and grid, and the middle one of all choices."""
    return _point(space, _middle)


def smallest(space: SearchSpace) -> dict[str, Value]:
    """The low end of every range, the least of choices that are numbers, and the first of others."""
    return _point(space, lambda p: _ends(p)[0])


def largest(space: SearchSpace) -> dict[str, Value]:
    """The high end of every range, the greatest of choices that are numbers, and the last of others."""
    return _point(space, lambda p: _ends(p)[-1])


def corners(space: SearchSpace) -> list[dict[str, Value]]:
    """All three, then each end and each choice of a parameter on its own, around the centre.

    A parameter that hangs on another is tried where it is active. No point comes twice; those that change the
    model come first.
    """
    model_first = sorted(space.parameters, key=lambda p: p.name.startswith(_TRAINING_ONLY))
    points = [largest(space), centre(space), smallest(space)]
    for parameter in model_first:
        for value in _ends(parameter) if not isinstance(parameter, CategoricalParameter) else parameter.choices:
            points.append(_around(space, parameter, value))
    found: list[dict[str, Value]] = []
    seen: set[str] = set()
    for point in points:
        if repr(point) not in seen:
            seen.add(repr(point))
            found.append(point)
    return found


def _around(space: SearchSpace, parameter: Parameter, value: Value) -> dict[str, Value]:
    """The centre, but for one parameter, and for what it hangs on."""
    wanted = {parameter.name: value}
    by_name = {p.name: p for p in space.parameters}
    asked = [parameter]
    while asked:
        for parent, values in asked.pop().when.items():
            if parent not in wanted:
                wanted[parent] = values[0]
                asked.append(by_name[parent])
    return _point(space, lambda p: wanted[p.name] if p.name in wanted else _middle(p))


def _point(space: SearchSpace, choose: _Choose) -> dict[str, Value]:
    params: dict[str, Value] = {}
    for parameter in space.parameters:  # parents come before children
        if space.is_active(parameter, params):
            params[parameter.name] = choose(parameter)
    return params


def _middle(parameter: Parameter) -> Value:
    if isinstance(parameter, CategoricalParameter):
        return parameter.choices[len(parameter.choices) // 2]
    low, high = parameter.low, parameter.high
    if isinstance(parameter, FloatParameter):
        if parameter.log:
            return float((low * high) ** 0.5)
        if parameter.step is None:
            return float((low + high) / 2)
        return float(low + int((high - low) / parameter.step / 2) * parameter.step)
    if parameter.log:
        return min(int(high), max(int(low), round((low * high) ** 0.5)))
    return int(low) + int((high - low) // parameter.step // 2) * parameter.step


def _ends(parameter: Parameter) -> tuple[Value, ...]:
    """The least and the greatest value."""
    if isinstance(parameter, CategoricalParameter):
        choices = parameter.choices
        if all(isinstance(choice, int | float) for choice in choices):
            choices = tuple(sorted(choices, key=float))
        return choices[0], choices[-1]
    step = parameter.step
    if step is None:
        return parameter.low, parameter.high
    high = parameter.low + int((parameter.high - parameter.low) / step + 1e-9) * step
    return parameter.low, min(high, parameter.high)
