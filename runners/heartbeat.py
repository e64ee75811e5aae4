"""Says that a driver lives, and notices when its sweep has gone to another."""

import threading
from collections.abc import Callable

from sweeps.core.errors import StaleEpoch

BEAT_S = 5.0


class Heartbeat(threading.Thread):
    """Calls `beat` every BEAT_S seconds until stopped; a lost epoch goes to `on_stale`."""

    def __init__(self, beat: Callable[[], None], on_stale: Callable[[StaleEpoch], None]) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self._beat, self._on_stale = beat, on_stale
        self._stop_asked = threading.Event()

    def run(self) -> None:
        """Beats; a store that does not answer now is asked again at the next beat."""
        while not self._stop_asked.wait(BEAT_S):
            try:
                self._beat()
            except StaleEpoch as error:
                self._on_stale(error)
                return
            except Exception:
                continue

    def stop(self) -> None:
        """Ends the thread and waits for it."""
        self._stop_asked.set()
        self.join()
