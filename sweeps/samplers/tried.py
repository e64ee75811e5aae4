"""What was tried already, so that no trial is spent on the same twice."""

import random
from collections import Counter
from collections.abc import Mapping

from search_spaces.combinations import combinations, key_of
from search_spaces.parameters import Value
from search_spaces.space import SearchSpace
from sweeps.samplers.draws import Draw, Drawer


class Tried:
    """The assignments of a sweep's trials, those that were cancelled apart."""

    def __init__(self, space: SearchSpace) -> None:
        self._space, self._all = space, combinations(space)
        self._keys: Counter[object] = Counter()

    def add(self, params: Mapping[str, Value]) -> None:
        """A trial has these parameters."""
        self._keys[key_of(self._space, params)] += 1

    def remove(self, params: Mapping[str, Value]) -> None:
        """A trial with these parameters came to nothing, and not because of them."""
        self._keys[key_of(self._space, params)] -= 1

    def first_new(self, drawer: Drawer, seed: int) -> Draw | None:
        """What a sampler wants to try and nobody has tried; None if there is nothing left to try.

        Where a sampler keeps to what was tried, something else comes from anywhere in the space.
        """
        if self._all is not None and len(+self._keys) >= self._all.size:
            return None
        draw = None
        for place, draw in enumerate(drawer.draws(seed), 1):
            if not self._known(draw.params):
                return draw
            if place == drawer.tries:
                break
        else:
            return None
        return self._anything(seed) or draw

    def _known(self, params: Mapping[str, Value]) -> bool:
        return self._keys[key_of(self._space, params)] > 0

    def _anything(self, seed: int) -> Draw | None:
        """The first that is new from some place on, or None where ranges have no gaps."""
        if self._all is None:
            return None
        size = self._all.size
        start = random.Random(seed).randrange(size)
        return next(
            Draw(params)
            for step in range(size)
            if not self._known(params := self._all[(start + step) % size])
        )
