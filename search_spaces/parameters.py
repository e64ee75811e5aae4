"""Tunable parameters: ranges of floats and integers, choices, and the conditions they hang on."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

Value: TypeAlias = bool | int | float | str
Conditions: TypeAlias = Mapping[str, tuple[Value, ...]]
"""Parent's name -> its values under which the parameter is active; all parents must agree."""


def same_value(a: object, b: object) -> bool:
    """Equality that keeps `true` apart from 1, and takes 2 and 2.0 for the same number."""
    return isinstance(a, bool) == isinstance(b, bool) and a == b


@dataclass(frozen=True, slots=True)
class FloatParameter:
    """Real numbers from `low` to `high`, both included.

    Attributes:
        log: Drawn evenly on a logarithmic scale; then low > 0 and there is no step.
        step: Grid spacing from `low`, or None for a continuous range.
    """

    name: str
    low: float
    high: float
    log: bool = False
    step: float | None = None
    when: Conditions = field(default_factory=dict)

    def contains(self, value: object) -> bool:
        """Whether `value` is a number in the range and, if there is a step, on its grid."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        if not self.low <= value <= self.high:
            return False
        if self.step is None:
            return True
        steps = (value - self.low) / self.step
        return math.isclose(steps, round(steps), abs_tol=1e-8)


@dataclass(frozen=True, slots=True)
class IntParameter:
    """Integers `low`, `low + step`, ... up to `high`, both included.

    Attributes:
        log: Drawn evenly on a logarithmic scale; then low >= 1 and step is 1.
    """

    name: str
    low: int
    high: int
    log: bool = False
    step: int = 1
    when: Conditions = field(default_factory=dict)

    def contains(self, value: object) -> bool:
        """Whether `value` is an integer of the range."""
        if isinstance(value, bool) or not isinstance(value, int):
            return False
        return self.low <= value <= self.high and (value - self.low) % self.step == 0


@dataclass(frozen=True, slots=True)
class CategoricalParameter:
    """One of a few values, without an order; a single choice is a constant."""

    name: str
    choices: tuple[Value, ...]
    when: Conditions = field(default_factory=dict)

    def contains(self, value: object) -> bool:
        """Whether `value` is one of the choices."""
        return any(same_value(choice, value) for choice in self.choices)


Parameter: TypeAlias = FloatParameter | IntParameter | CategoricalParameter
