"""New events, read once and handed to everybody who listens."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from starlette.concurrency import run_in_threadpool

from sweeps.api.config import Limits
from sweeps.api.documents import event_out
from sweeps.core.errors import StoreUnavailable
from sweeps.records import EventRecord
from sweeps.store.listing import Listing

_log = logging.getLogger("masksweep.api")

_AT_ONCE = 500
_MOST_WAITING = 10_000
_GAP_S = 5.0
"""Ids are given out before their transactions end: for so long a missing one may still appear."""


@dataclass(eq=False)
class _Listener:
    """Somebody who listens; `behind` is set once there are more events than are kept for them."""

    sweep_id: str | None
    queue: "asyncio.Queue[EventRecord]" = field(default_factory=lambda: asyncio.Queue(_MOST_WAITING))
    behind: bool = False


class Feed:
    """Looks for new events as long as somebody listens.

    Args:
        listing: Of the store.
        limits: How often it looks, and how often a stream says that it lives.
        monotonic: Seconds that never go back.
    """

    def __init__(self, listing: Listing, limits: Limits, monotonic: Callable[[], float]) -> None:
        self._listing, self._limits, self._monotonic = listing, limits, monotonic
        self._listeners: set[_Listener] = set()
        self._ready = asyncio.Event()
        self._seen = 0
        self._noticed: dict[int, float] = {}  # when events were first seen that are not handed out yet

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len(self._listeners)

    async def stream(self, sweep_id: str | None, after: int | None) -> AsyncIterator[str]:
        """Server-sent events: those behind `after`, or from now on, until who listens goes away.

        Args:
            sweep_id: The full id of a sweep, or None for all.
            after: The id of the last event that was seen; one that the store has not come to, as after it was
                restored from a backup, is its last.
        """
        listener = _Listener(sweep_id)
        yield ": listening\n\n"
        await self._ready.wait()
        if after is not None:
            after = min(after, await run_in_threadpool(self._listing.last_event))
        self._listeners.add(listener)
        last, listener.behind = (self._seen, False) if after is None else (after, True)
        try:
            while True:
                if listener.behind:
                    while not listener.queue.empty():
                        listener.queue.get_nowait()
                    listener.behind = False
                    async for event in self._stored(last, sweep_id):
                        last = event.event_id
                        yield _sent(event)
                try:
                    event = await asyncio.wait_for(listener.queue.get(), self._limits.stream_quiet_s)
                except TimeoutError:
                    yield ": still here\n\n"
                    continue
                if event.event_id > last:
                    last = event.event_id
                    yield _sent(event)
        finally:
            self._listeners.discard(listener)

    async def _stored(self, last: int, sweep_id: str | None) -> AsyncIterator[EventRecord]:
        """What is behind an event, as far as the feed has come: what is newer it hands out itself."""
        until = self._seen
        while True:
            page = await run_in_threadpool(
                self._listing.events, limit=_AT_ONCE, after=last, sweep_id=sweep_id
            )
            for event in page.items:
                if event.event_id > until:
                    return
                last = event.event_id
                yield event
            if page.after is None:
                return

    async def run(self) -> None:
        """Looks, until it is cancelled. What happened before it began is not handed out."""
        while True:
            try:
                if not self._ready.is_set():
                    self._seen = await run_in_threadpool(self._listing.last_event)
                    self._ready.set()
                while await self._look():
                    pass
            except StoreUnavailable:
                pass  # it is asked again
            except Exception:  # all who listen depend on this one task
                _log.exception("the event feed failed; it goes on")
            await asyncio.sleep(self._limits.stream_poll_s)

    async def _look(self) -> bool:
        """Hands out what is new; whether there is more at once."""
        page = await run_in_threadpool(self._listing.events, limit=_AT_ONCE, after=self._seen)
        now = self._monotonic()
        for event in page.items:  # before any is handed out: several gaps are waited for at once
            self._noticed.setdefault(event.event_id, now)
        for event in page.items:
            if event.event_id != self._seen + 1 and now - self._noticed[event.event_id] < _GAP_S:
                return False
            self._seen = event.event_id
            del self._noticed[event.event_id]
            self._hand_out(event)
        return page.after is not None

    def _hand_out(self, event: EventRecord) -> None:
        for listener in self._listeners:
            if listener.sweep_id in (None, event.sweep_id):
                try:
                    listener.queue.put_nowait(event)
                except asyncio.QueueFull:  # it is slow: it reads them from the store when it can
                    listener.behind = True


def _sent(event: EventRecord) -> str:
    data = json.dumps(event_out(event).model_dump(mode="json"), separators=(",", ":"))
    return f"id: {event.event_id}\nevent: {event.kind}\ndata: {data}\n\n"
