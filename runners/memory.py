"""Whether a worker's memory is back where it was, between two trials: what leaks is replaced in time."""

import ctypes
import gc
import os
from collections.abc import Callable, Mapping

HOST, DEVICE = "host", "device"

MIB = 2**20

TOLERANCE: Mapping[str, int] = {HOST: 256 * MIB, DEVICE: 64 * MIB}
"""Bytes above the baseline that are no leak: caches of libraries grow. Measured on a CPU, over 14 trials with
mask heads of all kinds, by 37 MiB; on a GPU, cuBLAS keeps a workspace of some 8 to 32 MiB."""


class MemoryWatch:
    """Compares what a process holds between trials with what it held after its first whole one.

    Args:
        read: Bytes held at this moment, by kind of memory, without caches that are meant to grow.
        tolerance: Bytes above the baseline that are no leak, by kind of memory.
        give_back: Frees what can be freed. Called only where that is needed, since it takes up to half a
            second and what is freed has to be taken again.
    """

    def __init__(
        self,
        read: Callable[[], Mapping[str, int]],
        *,
        tolerance: Mapping[str, int] = TOLERANCE,
        give_back: Callable[[], None] | None = None,
    ) -> None:
        self._read, self._tolerance = read, tolerance
        self._give_back = give_back or give_back_memory
        self._baseline: Mapping[str, int] | None = None

    def look(self) -> str | None:
        """Between two trials: what the process holds in excess, for people, or None.

        The first look takes the baseline.
        """
        held = self._read()
        if self._baseline is None or self._excess(held):
            self._give_back()
            held = self._read()
        if self._baseline is None:
            self._baseline = held
        return self._excess(held)

    def _excess(self, held: Mapping[str, int]) -> str | None:
        baseline = self._baseline or held
        for kind, size in held.items():
            if size > baseline[kind] + self._tolerance[kind]:
                then, now = baseline[kind] // MIB, size // MIB
                return f"its {kind} memory was {then} MiB after its first trial and is {now} MiB now"
        return None


def resident_bytes() -> int | None:
    """What this process holds of the machine's memory; None where there is no /proc."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return None


def give_back_memory() -> None:
    """Collects cycles, and lets glibc return what it keeps of freed memory to the machine."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
