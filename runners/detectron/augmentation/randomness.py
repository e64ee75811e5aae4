"""Random numbers that depend on where in the training stream they are drawn, and on nothing else."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np


def place(seed: int, position: int) -> tuple[int, int, int]:
    """Seed words of one sample.

    Args:
        seed: 0 to 2**32 - 1.
        position: The sample's place in the stream, 0 to 2**63 - 1.
    """
    return seed, position & 0xFFFFFFFF, position >> 32


@contextmanager
def seeded(words: Sequence[int]) -> Iterator[None]:
    """Detectron2's augmentations draw from numpy's global generator: seeds it, then puts it back."""
    state = np.random.get_state(legacy=False)
    np.random.seed(words)
    try:
        yield
    finally:
        np.random.set_state(state)
