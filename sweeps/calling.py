"""Calls a driver's workers in: a file whose appearing makes each of them stop at its next iteration."""

import contextlib
import os
from pathlib import Path


class Calling:
    """The pause file of one driver. `call_in` may be called from anywhere, a signal handler too.

    Args:
        path: The file; workers must see it under the same path.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._called = False

    def call_in(self) -> None:
        """Asks for a checkpoint and a report."""
        self._called = True
        with contextlib.suppress(OSError):  # on a full disk they stop at their next report
            os.close(os.open(self.path, os.O_CREAT | os.O_WRONLY))

    def let_go_on(self) -> bool:
        """Takes it back, once all have said what they did; whether there was anything to take back."""
        called, self._called = self._called, False
        if called:
            self.path.unlink(missing_ok=True)
        return called
