"""Connections that do not say what they want, or take no answer: closed in time, and not too many of them."""

import asyncio
from collections import Counter
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_S = 10.0
"""Seconds in which a request's head has to be there, from its first byte or the connection's beginning."""

TAKEN_S = 60.0
"""Seconds in which a client has to take some of an answer that waits for it."""

MOST_WAITING = 1000
"""Connections of one address that may wait for the head of their request at once."""


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose servers give the handshake of TLS no more time than the head of a request."""

    handshake_s = HEAD_S

    async def create_server(self, *args: Any, **options: Any) -> asyncio.Server:
        """As any loop's, which waits a minute."""
        if options.get("ssl") is not None:
            options["ssl_handshake_timeout"] = self.handshake_s
        return await super().create_server(*args, **options)


def connection_class(
    head_s: float = HEAD_S, most_waiting: int = MOST_WAITING, taken_s: float = TAKEN_S
) -> type[H11Protocol]:
    """A class for uvicorn's connections, which share what it counts.

    uvicorn itself waits for ever for the rest of a head, and for a client to read what is sent to it; each
    connection takes a descriptor.

    Args:
        head_s: Seconds in which a head has to be there.
        most_waiting: Of an address; one connection more is closed at once.
        taken_s: Seconds in which some of what was sent has to be taken, where more waits than is kept.
    """
    waiting = Counter[str]()

    class Connection(H11Protocol):
        """A connection that is closed where the head of a request does not come, or answers are not taken."""

        _timer: asyncio.TimerHandle | None = None
        _full: asyncio.TimerHandle | None = None
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

        def pause_writing(self) -> None:
            super().pause_writing()
            self._full = self.loop.call_later(taken_s, self.transport.abort)

        def resume_writing(self) -> None:
            super().resume_writing()
            self._taken()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_waiting()
            self._taken()
            super().connection_lost(exc)

        def _wait(self) -> None:
            waiting[self._address] += 1
            self._timer = self.loop.call_later(head_s, self.transport.close)

        def _taken(self) -> None:
            if self._full is not None:
                self._full.cancel()
                self._full = None

        def _stop_waiting(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
                waiting[self._address] -= 1
                if not waiting[self._address]:
                    del waiting[self._address]

    return Connection
