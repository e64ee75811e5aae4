"""Points at the edges of a space: where models are largest, smallest, or do not build at all."""

from collections.abc import Callable, Iterable, Mapping

from search_spaces.parameters import CategoricalParameter, Parameter, Value
from search_spaces.positions import value_at
from search_spaces.space import SearchSpace

_TRAINING_ONLY = ("solver.", "augment.", "sampling.")
"""What changes no model: such edges come last."""

COSTLESS = (
    "mask_head.loss_weight",
    "mask_head.mask_iou_weight",
    "point_head.importance_ratio",
    "solver.base_lr",
    "solver.schedule",
    "solver.weight_decay",
    "augment.flip",
    "augment.brightness",
    "augment.contrast",
    "augment.saturation",
    "augment.copy_paste_small_bias",
    "sampling.repeat_rare",
    "sampling.repeat_small",
)
"""What changes neither the size of a model nor the time of an iteration: a steep rate would only diverge."""

_Choose = Callable[[Parameter], Value]
_Point = dict[str, Value]


def centre(space: SearchSpace) -> _Point:
    """The middle of every range, on its scale and grid, and the middle one of all choices."""
    return _point(space, _middle)


def smallest(space: SearchSpace) -> _Point:
    """The low end of every range, the least of choices that are numbers, and the first of others.

    What costs nothing is at its middle.
    """
    return _point(space, lambda p: _middle(p) if p.name in COSTLESS else _ends(p)[0])


def largest(space: SearchSpace) -> _Point:
    """The high end of every range, the greatest of choices that are numbers, and the last of others.

    What costs nothing is at its middle.
    """
    return _point(space, _last)


def extremes(space: SearchSpace) -> list[_Point]:
    """Between which the cost of all others lies: largest, centre, smallest, and the largest of other kinds.

    Of choices that are words nobody knows which is the dearest: each has a point in which all else is large.
    """
    kinds = [
        _fixed(space, parameter, choice, _last)
        for parameter in space.parameters
        if isinstance(parameter, CategoricalParameter) and parameter.name not in COSTLESS
        for choice in parameter.choices
        if isinstance(choice, str)
    ]
    return _different([largest(space), centre(space), smallest(space), *kinds])


def corners(space: SearchSpace) -> list[_Point]:
    """The extremes, then each end and each choice of a parameter on its own, around the centre.

    A parameter that hangs on another is tried where it is active. No point comes twice; those that change the
    model come first.
    """
    model_first = sorted(space.parameters, key=lambda p: p.name.startswith(_TRAINING_ONLY))
    points = extremes(space)
    for parameter in model_first:
        values = parameter.choices if isinstance(parameter, CategoricalParameter) else _ends(parameter)
        points += [_fixed(space, parameter, value, _middle) for value in values]
    return _different(points)


def _different(points: Iterable[_Point]) -> list[_Point]:
    return list({repr(point): point for point in points}.values())


def _fixed(space: SearchSpace, parameter: Parameter, value: Value, choose: _Choose) -> _Point:
    """A point with one parameter at a value, and what that hangs on as it needs it."""
    wanted: Mapping[str, Value] = {parameter.name: value, **_needed(space, parameter)}
    return _point(space, lambda p: wanted[p.name] if p.name in wanted else choose(p))


def _needed(space: SearchSpace, parameter: Parameter) -> dict[str, Value]:
    by_name, wanted, asked = {p.name: p for p in space.parameters}, dict[str, Value](), [parameter]
    while asked:
        for parent, values in asked.pop().when.items():
            if parent not in wanted:
                wanted[parent] = values[0]
                asked.append(by_name[parent])
    return wanted


def _point(space: SearchSpace, choose: _Choose) -> _Point:
    params: _Point = {}
    for parameter in space.parameters:  # parents come before children
        if space.is_active(parameter, params):
            params[parameter.name] = choose(parameter)
    return params


def _middle(parameter: Parameter) -> Value:
    return value_at(parameter, 0.5)


def _last(parameter: Parameter) -> Value:
    return _middle(parameter) if parameter.name in COSTLESS else _ends(parameter)[1]


def _ends(parameter: Parameter) -> tuple[Value, Value]:
    """The least and the greatest value; of choices that are no numbers, the first and the last."""
    if isinstance(parameter, CategoricalParameter):
        choices = parameter.choices
        if all(isinstance(choice, int | float) for choice in choices):
            choices = tuple(sorted(choices, key=float))
        return choices[0], choices[-1]
    return value_at(parameter, 0.0), value_at(parameter, 1.0)
