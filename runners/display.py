"""Shows a sweep to whoever drives it, and lets no trouble of theirs become the sweep's."""

import logging
from collections.abc import Callable

from sweeps.core.progress import Progress

_logger = logging.getLogger(__name__)


class Display:
    """Calls the two callbacks of an order until one of them fails: a closed pipe stays closed.

    Args:
        on_progress: Called on every change.
        on_note: Called with what a person should know.
    """

    def __init__(self, on_progress: Callable[[Progress], None], on_note: Callable[[str], None]) -> None:
        self._on_progress, self._on_note = on_progress, on_note
        self._broken = False

    def progress(self, progress: Progress) -> None:
        """Shows the sweep as it is now."""
        self._show(lambda: self._on_progress(progress))

    def note(self, note: str) -> None:
        """Tells something that a person should know."""
        self._show(lambda: self._on_note(note))

    def _show(self, show: Callable[[], None]) -> None:
        if self._broken:
            return
        try:
            show()
        except (Exception, SystemExit) as error:  # a console whose pipe is closed asks for the exit
            self._broken = True
            _logger.warning("the sweep goes on without its display: %s: %s", type(error).__name__, error)
