"""An earlier trial's parameters in a new space."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from search_spaces.issues import shown
from search_spaces.parameters import CategoricalParameter, FloatParameter, Parameter, Value, same_value
from search_spaces.space import SearchSpace


@dataclass(frozen=True, slots=True)
class Projection:
    """What becomes of parameters in a space.

    Attributes:
        params: Those that the space has, as it writes them.
        missing: Names of what else is active there, or may be, as far as it is known.
        problem: Why they are not of the space, or None.
    """

    params: Mapping[str, Value]
    missing: tuple[str, ...] = ()
    problem: str | None = None


def projected(space: SearchSpace, params: Mapping[str, Value]) -> Projection:
    """Parameters of another space in this one; each has to be known, active and within bounds here."""
    known = {parameter.name: parameter for parameter in space.parameters}
    for name, value in params.items():
        if name not in known:
            return Projection({}, problem=f"{name} is not in the space")
        if not known[name].contains(value):
            return Projection({}, problem=f"{name} {_short(value)} is outside the space")
    kept: dict[str, Value] = {}
    missing: list[str] = []
    for parameter in space.parameters:  # parents come before children
        if not _may_act(parameter, kept, missing):
            continue
        if parameter.name in params:
            kept[parameter.name] = _written(parameter, params[parameter.name])
        else:
            missing.append(parameter.name)
    inactive = next((name for name in params if name not in kept), None)
    if inactive is not None:
        return Projection({}, problem=f"{inactive} is not active in the space there")
    return Projection(kept, tuple(missing))


def _may_act(parameter: Parameter, kept: Mapping[str, Value], missing: Collection[str]) -> bool:
    """Whether its conditions hold, or hang on what is not known yet."""
    return all(
        parent in missing or (parent in kept and any(same_value(kept[parent], value) for value in values))
        for parent, values in parameter.when.items()
    )


def _short(value: Value) -> str:
    """For people, who look for the parameter: a draw has more digits than anybody reads."""
    return f"{value:.4g}" if isinstance(value, float) else shown(value)


def _written(parameter: Parameter, value: Value) -> Value:
    match parameter:
        case FloatParameter():
            return float(value)
        case CategoricalParameter(choices=choices):
            return next(choice for choice in choices if same_value(choice, value))
        case _:
            return value
