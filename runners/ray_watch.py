"""Notices that Ray is gone.

Ray itself tells of its head a minute later, by aborting the process, and of its node never: its trials would
wait for resources for ever.
"""

import socket
import threading
from collections.abc import Callable, Sequence

WATCH_S = 2.0
_REFUSALS = 5  # a head that is started again, as fault-tolerant ones are, is waited for


class RayWatch(threading.Thread):
    """Knocks at Ray's ports until stopped, and says once if nobody is there any more.

    A service that is merely slow still lets its port be connected to.

    Args:
        addresses: `HOST:PORT` of each service that must be there.
        on_gone: Called from this thread.
        interval_s: Seconds between two knocks.
    """

    def __init__(
        self, addresses: Sequence[str], on_gone: Callable[[], None], interval_s: float = WATCH_S
    ) -> None:
        super().__init__(name="ray-watch", daemon=True)
        self._places = [_place(address) for address in addresses]
        self._on_gone, self._interval_s = on_gone, interval_s
        self._stop_asked = threading.Event()

    def run(self) -> None:
        """Knocks; nobody is there for good once the port has refused some times in a row."""
        refusals = 0
        while self._places and not self._stop_asked.wait(self._interval_s):
            refusals = refusals + 1 if any(map(self._refused, self._places)) else 0
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


def _place(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)
