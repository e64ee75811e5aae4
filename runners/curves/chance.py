"""Chance that is a function of words: the same in every process, on every machine, for ever."""

import hashlib
from statistics import NormalDist

_NORMAL = NormalDist()
_BYTES = 6
_RANGE = float(256**_BYTES)


def share(*words: object) -> float:
    """A number in (0, 1), evenly spread over different words."""
    digest = hashlib.sha256("|".join(map(str, words)).encode()).digest()
    return (int.from_bytes(digest[:_BYTES], "big") + 0.5) / _RANGE


def normal(*words: object) -> float:
    """A number of the standard normal distribution, over different words."""
    return _NORMAL.inv_cdf(share(*words))
