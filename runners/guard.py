"""Keeps exceptions out of Tune's event loop, where some are swallowed and then hang it."""

from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


class Guard:
    """Runs the search's verbs until one raises; from then on everything gets its safe answer.

    Attributes:
        error: The first exception, to be raised once Tune has come to an end.
        last_error: What Tune knew of the last worker that died.
    """

    def __init__(self, on_error: Callable[[], None]) -> None:
        self.error: BaseException | None = None
        self.last_error = ""
        self._on_error = on_error

    def __call__(self, verb: Callable[[], _T], safe: _T) -> _T:
        """What `verb` returns, or `safe` once anything has gone wrong."""
        if self.error is not None:
            return safe
        try:
            return verb()
        except Exception as error:
            self.error = error
            self._on_error()
            return safe

    def trip(self, error: BaseException) -> None:
        """Stops everything for a reason found elsewhere, such as a lost epoch seen by the heartbeat."""
        if self.error is None:
            self.error = error
            self._on_error()
