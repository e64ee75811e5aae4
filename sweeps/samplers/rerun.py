"""Trials of earlier sweeps that are tried again."""

import random
from collections.abc import Mapping

from search_spaces.parameters import Value
from search_spaces.positions import value_at
from search_spaces.space import SearchSpace
from sweeps.samplers.draws import Draw, Drawer, in_order


def again(space: SearchSpace, params: Mapping[str, Value], drawer: Drawer, seed: int) -> Draw:
    """Those parameters; what else is active with them is what the sampler would draw, or drawn evenly.

    Notes of the sampler are left out: they are about the trial that it wanted.

    Args:
        space: The sweep's.
        params: Of the space, maybe not all.
        drawer: The sweep's.
        seed: The trial's.
    """
    if space.contains(params):
        return Draw(in_order(space, params))
    chance = random.Random(seed)
    evenly = {parameter.name: value_at(parameter, chance.random()) for parameter in space.parameters}
    wanted = next(drawer.draws(seed), Draw({})).params
    return Draw(in_order(space, {**evenly, **wanted, **params}))
