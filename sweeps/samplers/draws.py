"""What every sampler does: draws assignments for a trial, the first one that it wants first."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from search_spaces.parameters import Value
from search_spaces.space import SearchSpace


@dataclass(frozen=True, slots=True)
class Draw:
    """An assignment that could be tried.

    Attributes:
        params: Active parameters by knob name.
        attrs: What the sampler must find again with this trial; JSON.
    """

    params: Mapping[str, Value]
    attrs: Mapping[str, Any] = field(default_factory=dict)


TRIES = 16
"""Draws after which a sampler that keeps to what was tried already is asked no more."""


class Drawer(Protocol):
    """Chooses from the lessons so far and a seed alone."""

    @property
    def tries(self) -> int | None:
        """After how many draws it is no use to ask for more; None: when they end."""

    def draws(self, seed: int) -> Iterator[Draw]:
        """Assignments for the next trial, the best first: the others count where those before were tried."""


def in_order(space: SearchSpace, params: Mapping[str, Value]) -> dict[str, Value]:
    """The active ones among some parameters, in the space's order."""
    active: dict[str, Value] = {}
    for parameter in space.parameters:
        if space.is_active(parameter, active):
            active[parameter.name] = params[parameter.name]
    return active
