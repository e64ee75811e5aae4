"""How much of the service one client gets: a bucket each that fills again with time."""

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

MOST_CLIENTS = 10_000
"""That are remembered; who was not heard of for longest is forgotten, with a full bucket."""


class Rates:
    """Buckets of requests.

    Args:
        per_s: Requests that a bucket gains in a second.
        burst: Requests that it holds.
        monotonic: Seconds that never go back.
    """

    def __init__(self, per_s: float, burst: int, monotonic: Callable[[], float]) -> None:
        self._per_s, self._burst, self._monotonic = per_s, burst, monotonic
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = Lock()

    def take(self, client: str) -> float:
        """Takes one request of a client's; 0, or the seconds until there is one again."""
        now = self._monotonic()
        with self._lock:
            left, at = self._buckets.pop(client, (float(self._burst), now))
            left = min(float(self._burst), left + (now - at) * self._per_s)
            waits = 0.0 if left >= 1 else (1 - left) / self._per_s
            self._buckets[client] = (left - 1 if left >= 1 else left, now)
            if len(self._buckets) > MOST_CLIENTS:
                self._buckets.popitem(last=False)
        return waits
