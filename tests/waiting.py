"""Waiting for what another process does."""

import contextlib
import threading
import time
from collections.abc import Callable

from sweeps.core.errors import StoreUnavailable


def until(true: Callable[[], object], seconds: float = 120.0, every_s: float = 0.05) -> None:
    """Returns once something is so; a store that it asks may be away in the meantime.

    Args:
        true: Whether it is.
        seconds: After which it is taken for something that does not happen.
        every_s: Between two questions.
    """
    end, pause = time.monotonic() + seconds, threading.Event()
    while time.monotonic() < end:
        with contextlib.suppress(StoreUnavailable):
            if true():
                return
        pause.wait(every_s)
    raise AssertionError("it did not come to that")
