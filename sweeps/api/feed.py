"""New events, read once and handed to everybody who listens."""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection
from dataclasses import dataclass, field
from weakref import WeakSet

from starlette.concurrency import run_in_threadpool

from sweeps.api.config import ServiceConfig
from sweeps.api.documents import event_out
from sweeps.api.problems import TOO_BUSY, TOO_MANY, Refused
from sweeps.core.errors import StoreUnavailable
from sweeps.core.scopes import Scope
from sweeps.records import EventRecord, Token
from sweeps.store.gaps import Gaps
from sweeps.store.listing import Listing

_log = logging.getLogger("masksweep.api")

_AT_ONCE = 500
_MOST_WAITING = 10_000


@dataclass(eq=False)
class _Listener:
    """Somebody who listens.

    Attributes:
        token: Theirs.
        sweep_id: Of the sweep that they follow, or None for all.
        queue: What they have not been sent yet; None only wakes them.
        behind: There are more events than are kept for them.
        revoked: Their token was.
    """

    token: Token
    sweep_id: str | None
    queue: "asyncio.Queue[EventRecord | None]" = field(default_factory=lambda: asyncio.Queue(_MOST_WAITING))
    behind: bool = False
    revoked: bool = False

    @property
    def of_service(self) -> bool:
        """Whether they see what happens to the service itself."""
        return self.sweep_id is None and self.token.scope.allows(Scope.ADMIN)

    def sees(self, event: EventRecord) -> bool:
        """Whether an event is for them."""
        if event.sweep_id is None:
            return self.of_service
        return self.sweep_id in (None, event.sweep_id)

    def over(self, now: float) -> bool:
        """Whether they may listen no more."""
        expires_at = self.token.expires_at
        return self.revoked or (expires_at is not None and now >= expires_at)

    def revoke(self) -> None:
        """Lets them listen no more, at once where they wait for events."""
        self.revoked = True
        if self.queue.empty():
            self.queue.put_nowait(None)


class Feed:
    """Looks for new events as long as somebody listens.

    Args:
        listing: Of the store.
        gaps: How far its events are complete.
        revoked: Which tokens of some were revoked; it may wait for the store.
        config: Has the limits and the clocks.
    """

    def __init__(
        self,
        listing: Listing,
        gaps: Gaps,
        revoked: Callable[[Collection[str]], Collection[str]],
        config: ServiceConfig,
    ) -> None:
        self._listing, self._gaps, self._revoked = listing, gaps, revoked
        self._limits, self._clock, self._monotonic = config.limits, config.clock, config.monotonic
        # one whose answer never began, since they went away, is forgotten with it
        self._admitted: WeakSet[_Listener] = WeakSet()
        self._listeners: set[_Listener] = set()
        self._checked_at = self._monotonic()
        self._ready = asyncio.Event()
        self._seen = 0

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len(self._listeners)

    def stream(self, token: Token, sweep_id: str | None, after: int | None) -> AsyncGenerator[str, None]:
        """Server-sent events: those behind `after`, or from now on.

        They end when who listens goes away, or may not listen any more.

        Args:
            token: Of who listens.
            sweep_id: The full id of a sweep, or None for all.
            after: The id of the last event that was seen; one that the store has not come to, as after it was
                restored from a backup, is its last.

        Raises:
            Refused: There are too many streams of that token, or of all.
        """
        most, later = self._limits.streams_of_token, {"Retry-After": "30"}
        theirs = sum(each.token.token_id == token.token_id for each in self._admitted)
        if theirs >= most:
            hint = "end one, or follow all sweeps by one stream"
            message = f"token {token.name!r} has {most} event streams, which is the most"
            raise Refused(TOO_MANY, message, hint, headers=later)
        if len(self._admitted) >= self._limits.streams:
            message = f"{self._limits.streams} event streams are open, which is the most"
            raise Refused(TOO_BUSY, message, "try again later", headers=later)
        listener = _Listener(token, sweep_id)
        self._admitted.add(listener)
        return self._sent_to(listener, after)

    async def _sent_to(self, listener: _Listener, after: int | None) -> AsyncGenerator[str, None]:
        yield ": listening\n\n"
        await self._ready.wait()
        if after is not None:
            after = min(after, await run_in_threadpool(self._listing.last_event))
        self._listeners.add(listener)
        last, listener.behind = (self._seen, False) if after is None else (after, True)
        try:
            while not listener.over(self._clock()):
                if listener.behind:
                    while not listener.queue.empty():
                        listener.queue.get_nowait()
                    listener.behind = False
                    async for event in self._stored(last, listener):
                        last = event.event_id
                        yield _sent(event)
                        if listener.over(self._clock()):
                            break
                    continue
                try:
                    next_event = await asyncio.wait_for(listener.queue.get(), self._quiet_s(listener))
                except TimeoutError:
                    yield ": still here\n\n"
                    continue
                if next_event is not None and next_event.event_id > last:
                    last = next_event.event_id
                    yield _sent(next_event)
            yield ": the token is not valid any more\n\n"
        finally:
            self._listeners.discard(listener)

    def _quiet_s(self, listener: _Listener) -> float:
        """For how many seconds nothing is said at the most."""
        expires_at = listener.token.expires_at
        left_s = float("inf") if expires_at is None else max(0.0, expires_at - self._clock())
        return min(self._limits.stream_quiet_s, left_s)

    async def _stored(self, last: int, listener: _Listener) -> AsyncIterator[EventRecord]:
        """What is behind an event, as far as the feed has come: what is newer it hands out itself."""
        until = self._seen
        while True:
            page = await run_in_threadpool(
                self._listing.events,
                limit=_AT_ONCE,
                after=last,
                sweep_id=listener.sweep_id,
                of_service=listener.of_service,
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
                    self._seen = await run_in_threadpool(self._gaps.complete)
                    self._ready.set()
                while await self._look():
                    pass
                await self._check_tokens()
            except StoreUnavailable:
                pass  # it is asked again
            except Exception:  # all who listen depend on this one task
                _log.exception("the event feed failed; it goes on")
            await asyncio.sleep(self._limits.stream_poll_s)

    async def _check_tokens(self) -> None:
        """Ends the streams of tokens that were revoked: one question now and then, however many listen."""
        now = self._monotonic()
        if now - self._checked_at < self._limits.tokens_checked_s or not self._listeners:
            return
        revoked = await run_in_threadpool(self._revoked, {each.token.token_id for each in self._listeners})
        self._checked_at = now
        for each in self._listeners:
            if each.token.token_id in revoked:
                each.revoke()

    async def _look(self) -> bool:
        """Hands out what is new; whether there is more at once."""
        until = await run_in_threadpool(self._gaps.complete)
        if until <= self._seen:
            return False
        page = await run_in_threadpool(self._listing.events, limit=_AT_ONCE, after=self._seen)
        for event in page.items:
            if event.event_id > until:
                return False
            self._seen = event.event_id
            self._hand_out(event)
        return page.after is not None

    def _hand_out(self, event: EventRecord) -> None:
        for listener in self._listeners:
            if listener.sees(event):
                try:
                    listener.queue.put_nowait(event)
                except asyncio.QueueFull:  # it is slow: it reads them from the store when it can
                    listener.behind = True


def _sent(event: EventRecord) -> str:
    data = json.dumps(event_out(event).model_dump(mode="json"), separators=(",", ":"))
    return f"id: {event.event_id}\nevent: {event.kind}\ndata: {data}\n\n"
