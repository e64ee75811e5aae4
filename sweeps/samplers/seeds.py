"""Seeds of trials."""

import hashlib


def trial_seed(seed: int, number: int) -> int:
    """The seed of a trial, 0 to 2**31 - 1, from the sweep's seed and the trial's number."""
    digest = hashlib.sha256(f"{seed}:{number}".encode()).digest()
    return int.from_bytes(digest[:4], "big") & 0x7FFF_FFFF
