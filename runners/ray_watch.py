"""Notices that Ray's head is gone, which Ray itself says a minute later by aborting the process."""

import socket
import threading
from collections.abc import Callable

WATCH_S = 2.0
_REFUSALS = 5  # a head that is started again, as fault-tolerant ones are, is waited for


class RayWatch(threading.Thread):
    """Knocks at the head's port until stopped, and says once if nobody is there any more.

    A head that is merely slow still lets its port be connected to.

    Args:
        address: `HOST:PORT` of the head's control service, or None for one that cannot be seen from here.
        on_gone: Called from this thread.
        interval_s: Seconds between two knocks.
    """

    def __init__(self, address: str | None, on_gone: Callable[[], None], interval_s: float = WATCH_S) -> None:
        super().__init__(name="ray-watch", daemon=True)
        host, _, port = (address or "").rpartition(":")
        self._place = (host.strip("[]"), int(port)) if port else None
        self._on_gone, self._interval_s = on_gone, interval_s
        self._stop_asked = threading.Event()

    def run(self) -> None:
        """Knocks; nobody is there for good once the port has refused some times in a row."""
        refusals = 0
        while self._place and not self._stop_asked.wait(self._interval_s):
            refusals = refusals + 1 if self._refused(self._place) else 0
            if refusals == _REFUSALS:
                self._on_gone()
                return

    def stop(self) -> None:
        """Ends the thread and waits for it."""
        self._stop_asked.set()
        self.join()

    def _refused(self, place: tuple[str, int]) -> bool:
        try:
            socket.create_connection(place, timeout=self._interval_s).close()
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
        return False
