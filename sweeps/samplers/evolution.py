"""CMA-ES over the ranges of a space (Hansen, https://arxiv.org/abs/1604.00772), by the package `cmaes`.

The optimizer is never stored. Each trial notes the point that it stands for, and the first one of a
generation who was told to the optimizer in which order: telling it all once more makes the same optimizer.
Ranges with steps keep a margin of probability for their neighbouring values
(Hamano et al., https://arxiv.org/abs/2205.13482).
"""

import math
import random
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from search_spaces.parameters import IntParameter, Parameter, Value
from search_spaces.positions import count_of, place_of, position_of, value_at, value_number
from search_spaces.space import SearchSpace
from sweeps.core.sampler import cma_ranges
from sweeps.samplers.draws import TRIES, Draw
from sweeps.samplers.lessons import Lesson, Lessons
from sweeps.samplers.plain import RandomDrawer
from sweeps.samplers.tpe import TpeDrawer

_UNKNOWN = (-math.inf,)
_GENERATION, _POINT, _TOLD, _MEAN = "cma:generation", "cma:point", "cma:told", "cma:mean"


class EvolutionDrawer:
    """Adapts a normal distribution to what did well; TPE gives a value to choices and to what has conditions.

    A generation ends when as many of its trials as it needs ended and say something; the first of these by
    number count, ordered by broken constraints, then by what they are expected to score. A distribution that
    has come to a point begins again elsewhere.

    Args:
        space: What to search.
        lessons: Of the sweep.
        startup: Trials that must have ended before it learns; it then starts at the best of them.
        population: Of a generation; None: 4 + 3 ln(n) with n ranges.
        sigma: The spread that it starts with, as a share of each range.
        seed: The sweep's; it decides where it begins again.
        others: Draws what it does not know.
    """

    tries = TRIES

    def __init__(
        self,
        space: SearchSpace,
        lessons: Lessons,
        *,
        startup: int,
        population: int | None,
        sigma: float,
        seed: int,
        others: TpeDrawer,
    ) -> None:
        self._space, self._lessons, self._others = space, lessons, others
        self._startup, self._population, self._sigma, self._seed = startup, population, sigma, seed
        self._ranges = cma_ranges(space)
        self._optimizer: Any = None
        self._told = 0  # generations that the optimizer knows

    def draws(self, seed: int) -> Iterator[Draw]:
        """Without end."""
        newest = max((lesson.attrs.get(_GENERATION, -1) for lesson in self._lessons), default=-1)
        taught = self._lessons.taught()
        if newest < 0 and len(taught) < self._startup:
            yield from RandomDrawer(self._space).draws(seed)
        notes: dict[str, Any] = {_GENERATION: max(newest, 0)}
        if newest < 0:
            best = self._lessons[self._ranked(taught)[0][0]]
            notes[_MEAN] = [_coordinate(p, best.params[p.name]) for p in self._ranges]
            self._optimizer, self._told = self._at(notes[_MEAN]), 0
        else:
            self._catch_up(newest)
            members = [lesson for lesson in taught if lesson.attrs.get(_GENERATION) == newest]
            if len(members) >= self._optimizer.population_size:
                told = self._ranked(members[: self._optimizer.population_size])
                notes = {_GENERATION: newest + 1, _TOLD: told}
                self._tell(told)
        self._optimizer.reseed_rng(seed)
        for rest in self._others.completions({p.name: p.low for p in self._ranges}, seed):
            values, point = self._optimizer.ask()
            mine = {p.name: _value(p, float(at)) for p, at in zip(self._ranges, values, strict=True)}
            yield Draw({**rest.params, **mine}, {_POINT: point.tolist(), **notes})

    def _catch_up(self, generation: int) -> None:
        """Makes the optimizer one that was told of all generations before this one."""
        noted = {
            lesson.attrs[_GENERATION]: lesson.attrs
            for lesson in self._lessons
            if _MEAN in lesson.attrs or _TOLD in lesson.attrs
        }
        if self._optimizer is None or self._told > generation:
            self._optimizer, self._told = self._at(noted[0][_MEAN]), 0
        while self._told < generation:
            self._tell(noted[self._told + 1][_TOLD])

    def _tell(self, told: Sequence[Sequence[int]]) -> None:
        """Tells the optimizer of a generation: trials with their ranks."""
        points = [(np.asarray(self._lessons[number].attrs[_POINT]), float(rank)) for number, rank in told]
        self._optimizer.tell(points)
        self._told += 1
        if self._optimizer.should_stop():
            elsewhere = random.Random(f"{self._seed}:{self._told}")
            mean = [_coordinate(p, value_at(p, elsewhere.random())) for p in self._ranges]
            self._optimizer = self._at(mean)

    def _at(self, mean: Sequence[float]) -> Any:
        """A new optimizer that searches around a point."""
        from cmaes import CMAwM  # noqa: PLC0415 - brings scipy.stats, which takes seconds

        return CMAwM(
            np.asarray(mean, dtype=float),
            self._sigma,
            bounds=np.tile([0.0, 1.0], (len(self._ranges), 1)),
            steps=np.asarray([_step(parameter) for parameter in self._ranges]),
            population_size=self._population,
        )

    def _ranked(self, lessons: Sequence[Lesson]) -> list[list[int]]:
        """Number and rank of each, best first; equals share a rank, and what was not measured comes last."""
        expected = self._lessons.expected()
        keys = {each.number: (each.violation, -expected.get(each.number, _UNKNOWN)[0]) for each in lessons}
        ranks = {key: rank for rank, key in enumerate(sorted(set(keys.values())))}
        return sorted([[number, ranks[key]] for number, key in keys.items()], key=lambda pair: pair[::-1])


def _stepped(parameter: Parameter) -> bool:
    """Whether a range's values lie at equal distances; those of a logarithmic one do not."""
    return count_of(parameter) is not None and not (isinstance(parameter, IntParameter) and parameter.log)


def _step(parameter: Parameter) -> float:
    """The distance of neighbouring values where the range has length 1; 0 without steps."""
    return 1 / ((count_of(parameter) or 2) - 1) if _stepped(parameter) else 0.0


def _coordinate(parameter: Parameter, value: Value) -> float:
    """Where a value lies, 0 to 1."""
    if _stepped(parameter):
        return place_of(parameter, value) * _step(parameter)
    return min(max(position_of(parameter, value), 0.0), 1.0)


def _value(parameter: Parameter, at: float) -> Value:
    """The inverse of `_coordinate`."""
    if _stepped(parameter):
        return value_number(parameter, round(at / _step(parameter)))
    return value_at(parameter, at)
