"""The assignments that a space allows, counted and taken one by one, without ever listing them all."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from math import prod

from search_spaces.parameters import FloatParameter, Parameter, Value
from search_spaces.positions import count_of, place_of, value_at, value_number
from search_spaces.space import SearchSpace

Key = tuple[tuple[str, Value], ...]


def key_of(space: SearchSpace, params: Mapping[str, Value]) -> Key:
    """What two assignments have in common if they are the same: values by place where there are gaps."""
    return tuple(
        (
            parameter.name,
            params[parameter.name]
            if count_of(parameter) is None
            else place_of(parameter, params[parameter.name]),
        )
        for parameter in space.parameters
        if parameter.name in params
    )


@dataclass(frozen=True, slots=True)
class _Branch:
    """Assignments that agree in every parameter on which others hang."""

    fixed: Mapping[str, Value]
    free: tuple[Parameter, ...]
    counts: tuple[int, ...]


class Combinations:
    """The different assignments of a space, each with a number: parameters that are not active do not count.

    Args:
        space: Any; where others hang on many parameters, all combinations of those are listed.
        points: A range without gaps is taken at so many points, evenly spaced, both ends included; None: such
            a space has no number of assignments.
    """

    def __init__(self, space: SearchSpace, points: int | None = None) -> None:
        self._space, self._points = space, points
        parents = {parent for parameter in space.parameters for parent in parameter.when}
        self._branches = [self._branch(fixed, parents) for fixed in self._fixed(parents)]
        self._ends = list(accumulate(prod(branch.counts) for branch in self._branches))

    @property
    def size(self) -> int:
        """How many there are, at least 1. It may be beyond what `len` can say."""
        return self._ends[-1]

    def __getitem__(self, number: int) -> dict[str, Value]:
        """The assignment with a number from 0; the last parameter changes fastest."""
        if not 0 <= number < self._ends[-1]:
            raise IndexError(number)
        place = bisect_right(self._ends, number)
        branch = self._branches[place]
        rest = number - (self._ends[place - 1] if place else 0)
        values = dict(branch.fixed)
        for parameter, count in zip(reversed(branch.free), reversed(branch.counts), strict=True):
            rest, at = divmod(rest, count)
            values[parameter.name] = self._value(parameter, at)
        return {p.name: values[p.name] for p in self._space.parameters if p.name in values}

    def _fixed(self, parents: set[str]) -> Iterator[dict[str, Value]]:
        """Every assignment of the parameters on which others hang, where these are active."""
        deciding = [parameter for parameter in self._space.parameters if parameter.name in parents]

        def grown(given: dict[str, Value], place: int) -> Iterator[dict[str, Value]]:
            if place == len(deciding):
                yield given
            elif not self._space.is_active(deciding[place], given):
                yield from grown(given, place + 1)
            else:
                for at in range(self._count(deciding[place])):
                    value = self._value(deciding[place], at)
                    yield from grown({**given, deciding[place].name: value}, place + 1)

        return grown({}, 0)

    def _branch(self, fixed: Mapping[str, Value], parents: set[str]) -> _Branch:
        free = tuple(
            parameter
            for parameter in self._space.parameters
            if parameter.name not in parents and self._space.is_active(parameter, fixed)
        )
        return _Branch(fixed, free, tuple(map(self._count, free)))

    def _count(self, parameter: Parameter) -> int:
        count = count_of(parameter) or self._points
        assert count is not None, f"{parameter.name} has no number of values"
        return count

    def _value(self, parameter: Parameter, at: int) -> Value:
        if count_of(parameter) is not None:
            return value_number(parameter, at)
        assert isinstance(parameter, FloatParameter)
        points = self._points or 1
        return value_at(parameter, at / (points - 1) if points > 1 else 0.5)


def combinations(space: SearchSpace, points: int | None = None) -> Combinations | None:
    """The space's assignments, or None if there is no end of them: a range has no gaps, and no `points`."""
    if points is None and any(count_of(parameter) is None for parameter in space.parameters):
        return None
    return Combinations(space, points)
