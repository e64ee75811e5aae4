"""Points at the edges of a space: where models are largest, smallest, or do not build at all."""

from collections.abc import Callable

from search_spaces.parameters import CategoricalParameter, Parameter, Value
from search_spaces.positions import value_at
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
        values = parameter.choices if isinstance(parameter, CategoricalParameter) else _ends(parameter)
        points += [_around(space, parameter, value) for value in values]
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
    return value_at(parameter, 0.5)


def _ends(parameter: Parameter) -> tuple[Value, Value]:
    """The least and the greatest value; of choices that are no numbers, the first and the last."""
    if isinstance(parameter, CategoricalParameter):
        choices = parameter.choices
        if all(isinstance(choice, int | float) for choice in choices):
            choices = tuple(sorted(choices, key=float))
        return choices[0], choices[-1]
    return value_at(parameter, 0.0), value_at(parameter, 1.0)
