"""Hyperband's brackets: halving that begins at the first rung for some trials, and later for others.

Source: Li et al., Hyperband, https://arxiv.org/abs/1603.06560, with trials shared out as Optuna does.
"""

import zlib
from functools import lru_cache

STUDY = "sweep"
"""Name of the study in memory. Optuna draws a trial's bracket from it, so it is the same in every driver."""


@lru_cache(maxsize=4096)
def bracket_of(number: int, rungs: int, factor: int) -> int:
    """How many of its first rungs a trial passes unjudged: its bracket, 0 to rungs - 1.

    The shares of the brackets are those of the trials that each would start with. A checksum of the trial's
    number decides, not chance: the same after a restart, and the same as HyperbandPruner's.

    Args:
        number: The trial's number.
        rungs: At least 1.
        factor: The reduction factor, at least 2.
    """
    shares = [-(-rungs * factor ** (rungs - 1 - bracket) // (rungs - bracket)) for bracket in range(rungs)]
    place = zlib.crc32(f"{STUDY}_{number}".encode()) % sum(shares)
    bracket = 0
    while place >= shares[bracket]:
        place -= shares[bracket]
        bracket += 1
    return bracket
