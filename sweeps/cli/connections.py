"""Connections that do not say what they want: closed in time, and not too many of them."""

import asyncio
from collections import Counter
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_S = 10.0
"""Seconds in which a request's head has to be there, from its first byte or the connection's beginning."""

MOST_WAITING = 1000
"""Connections of one address that may wait for the head of their request at once."""


def connection_class(head_s: float = HEAD_S, most_waiting: int = MOST_WAITING) -> type[H11Protocol]:
    """A class for uvicorn's connections, which share what it counts.

    uvicorn itself waits for ever for the rest of a head, and each connection takes a descriptor.

    Args:
        head_s: Seconds in which a head has to be there.
        most_waiting: Of an address; one connection more is closed at once.
    """
    waiting = Counter[str]()

    class Connection(H11Protocol):
        """A connection that is closed where the head of a request does not come."""

        _timer: asyncio.TimerHandle | None = None
        _address = ""

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._address = self.client[0] if self.client else "?"
            if waiting[self._address] >= most_waiting:
                transport.close()
            else:
                self._wait()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.cycle is not None and not self.cycle.response_complete:  # a head is there
                self._stop_waiting()
            elif self._timer is None:
                self._wait()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_waiting()
            super().connection_lost(exc)

        def _wait(self) -> None:
            waiting[self._address] += 1
            self._timer = self.loop.call_later(head_s, self.transport.close)

        def _stop_waiting(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
                waiting[self._address] -= 1
                if not waiting[self._address]:
                    del waiting[self._address]

    return Connection
