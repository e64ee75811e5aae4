"""How much of the service one client gets: a bucket each that fills again with time."""

import hashlib
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
            left = self._left(client, now)
            self._buckets[client] = (left - 1 if left >= 1 else left, now)
            self._buckets.move_to_end(client)
            if len(self._buckets) > MOST_CLIENTS:
                self._buckets.popitem(last=False)
        return self._waits(left)

    def give_back(self, client: str) -> None:
        """One request that was taken did not count."""
        now = self._monotonic()
        with self._lock:
            left = self._left(client, now)
            if client in self._buckets:
                self._buckets[client] = (min(float(self._burst), left + 1), now)

    def _left(self, client: str, now: float) -> float:
        """The caller holds the lock."""
        left, at = self._buckets.get(client, (float(self._burst), now))
        return min(float(self._burst), left + (now - at) * self._per_s)

    def _waits(self, left: float) -> float:
        return 0.0 if left >= 1 else (1 - left) / self._per_s


class Accepted:
    """Tokens that were accepted lately, by a digest of each: these are no guesses."""

    def __init__(self) -> None:
        self._digests: OrderedDict[bytes, None] = OrderedDict()

    def __contains__(self, text: str) -> bool:
        return _digest(text) in self._digests

    def add(self, text: str) -> None:
        """Remembers one; who was not heard of for longest is forgotten."""
        digest = _digest(text)
        self._digests[digest] = None
        self._digests.move_to_end(digest)
        if len(self._digests) > MOST_CLIENTS:
            self._digests.popitem(last=False)

    def discard(self, text: str) -> None:
        """Forgets one that is not accepted any more."""
        self._digests.pop(_digest(text), None)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
