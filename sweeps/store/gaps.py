"""How far the audit is complete: behind which event nothing comes any more in between.

PostgreSQL gives out an event's id before its transaction ends, so that 6 can be read before 5 is there. Who
goes on behind 6 then never sees 5. An id that a transaction took along when it was undone stays missing.
"""

import threading
from collections.abc import Callable

from sweeps.store.listing import Listing

GAP_S = 5.0
"""Ids are given out before their transactions end: for so many seconds a missing one may still appear."""

_OLD_S = 15.0
"""Seconds after which an event's own time is enough to know that it was there for longer than `GAP_S`, though
it was never seen before: its time is taken before it is committed, and by another machine's clock."""

_AT_ONCE = 1000


class Gaps:
    """Remembers when it first saw what is behind a gap of ids. It may be asked by several threads.

    Args:
        listing: Of the store.
        clock: Seconds since the Unix epoch.
        monotonic: Seconds that never go back.
    """

    def __init__(self, listing: Listing, clock: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self._listing, self._clock, self._monotonic = listing, clock, monotonic
        self._lock = threading.Lock()
        self._complete: int | None = None
        self._noticed: dict[int, float] = {}  # when events were first seen that have a gap before them

    def complete(self) -> int:
        """The id of an event up to which nothing is missing that may still come; 0 before the first event.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        with self._lock:
            seen = self._complete
            if seen is None:  # what is far behind the newest is old
                seen = max(0, self._listing.last_event() - _AT_ONCE)
            while True:
                found = self._listing.event_times(after=seen, limit=_AT_ONCE)
                until = self._walk(seen, found)
                whole = not found or until == found[-1][0]
                self._complete = seen = until
                if len(found) < _AT_ONCE or not whole:
                    return seen

    def _walk(self, seen: int, found: list[tuple[int, float]]) -> int:
        now, today = self._monotonic(), self._clock()
        before, held = seen, False
        for event_id, at in found:  # several gaps are waited for at once
            if event_id != before + 1 and today - at < _OLD_S:
                held |= now - self._noticed.setdefault(event_id, now) < GAP_S
            before = event_id
            if not held:
                seen = event_id
        self._noticed = {each: since for each, since in self._noticed.items() if each > seen}
        return seen
