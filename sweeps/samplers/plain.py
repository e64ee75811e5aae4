"""Samplers that do not learn: random, quasi-random and grid search."""

import hashlib
import random
import warnings
from collections.abc import Iterator
from typing import Any

from search_spaces.combinations import Combinations
from search_spaces.positions import count_of, value_at
from search_spaces.space import SearchSpace
from sweeps.samplers.draws import TRIES, Draw, in_order
from sweeps.samplers.lessons import Lessons

_PLACE = "qmc:place"
_CELL = "grid:cell"


class RandomDrawer:
    """Each active parameter evenly from its range or choices."""

    tries = TRIES

    def __init__(self, space: SearchSpace) -> None:
        self._space = space

    def draws(self, seed: int) -> Iterator[Draw]:
        """Without end."""
        rng = random.Random(seed)
        while True:
            drawn = {p.name: value_at(p, rng.random()) for p in self._space.parameters}
            yield Draw(in_order(self._space, drawn))


class QuasiRandomDrawer:
    """A low-discrepancy sequence over the whole space; what turns out inactive is dropped.

    Args:
        space: What to cover.
        lessons: Of the sweep; each trial notes its place in the sequence.
        sequence: `sobol` or `halton`.
        scramble: Whether the seed decides on the sequence; else it is the same for every seed.
        seed: The sweep's.
    """

    tries = TRIES

    def __init__(
        self, space: SearchSpace, lessons: Lessons, sequence: str, scramble: bool, seed: int
    ) -> None:
        self._space, self._lessons = space, lessons
        self._options = (sequence, scramble, seed)
        self._varied = [p for p in space.parameters if count_of(p) != 1]
        self._fixed = {p.name: value_at(p, 0.0) for p in space.parameters if count_of(p) == 1}
        self._engine: Any = None

    def draws(self, seed: int) -> Iterator[Draw]:
        """The next places of the sequence; the trial's seed has no say."""
        place = max((lesson.attrs[_PLACE] for lesson in self._lessons if _PLACE in lesson.attrs), default=-1)
        while True:
            place += 1
            point = self._point(place) if self._varied else []
            drawn = {p.name: value_at(p, at) for p, at in zip(self._varied, point, strict=True)}
            yield Draw(in_order(self._space, drawn | self._fixed), {_PLACE: place})

    def _point(self, place: int) -> list[float]:
        if self._engine is None or self._engine.num_generated > place:
            self._engine = _engine(len(self._varied), *self._options)
        if self._engine.num_generated < place:
            self._engine.fast_forward(place - self._engine.num_generated)
        point: list[float] = self._engine.random(1)[0].tolist()
        return point


def _engine(dimensions: int, sequence: str, scramble: bool, seed: int) -> Any:
    from scipy.stats import qmc  # noqa: PLC0415 - it takes a second, and other samplers do without it

    kind = qmc.Sobol if sequence == "sobol" else qmc.Halton
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # Sobol wants powers of 2, and a sweep ends when it ends
        return kind(dimensions, scramble=scramble, rng=seed)


class GridDrawer:
    """Every assignment once.

    Args:
        combinations: All there are.
        lessons: Of the sweep.
        shuffle: Whether the seed decides on the order, so that a sweep that ends early has covered the grid
            evenly; else the last parameter of the space changes fastest.
        seed: The sweep's.
    """

    tries = None

    def __init__(self, combinations: Combinations, lessons: Lessons, shuffle: bool, seed: int) -> None:
        self._combinations, self._lessons, self._shuffle = combinations, lessons, shuffle
        self._seed = seed

    def draws(self, seed: int) -> Iterator[Draw]:
        """Those behind the last one that was taken."""
        size = self._combinations.size
        start = max((lesson.attrs[_CELL] + 1 for lesson in self._lessons if _CELL in lesson.attrs), default=0)
        for cell in range(start, size):
            number = shuffled(cell, size, self._seed) if self._shuffle else cell
            yield Draw(self._combinations[number], {_CELL: cell})


def shuffled(place: int, size: int, seed: int) -> int:
    """Where a place from 0 to `size` - 1 goes in an order that a seed gives; no two go to the same.

    A Feistel network over the next even number of bits, walked until it comes back within the size (Black and
    Rogaway, Ciphers with Arbitrary Finite Domains, 2002): an order of any size takes no memory.
    """
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    mask = (1 << half) - 1
    while True:
        left, right = place >> half, place & mask
        for turn in range(4):
            digest = hashlib.sha256(f"{seed}:{turn}:{right}".encode()).digest()
            left, right = right, left ^ (int.from_bytes(digest[:16], "big") & mask)
        place = (left << half) | right
        if place < size:
            return place
