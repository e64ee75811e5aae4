"""The feed of events: what it outlives, whom it lets listen, and for how long."""

import asyncio
import gc

import pytest

from sweeps.api.config import Limits, ServiceConfig
from sweeps.api.feed import Feed
from sweeps.api.problems import TOO_BUSY, TOO_MANY, Refused
from sweeps.core.scopes import Scope
from sweeps.records import EventRecord, Token
from sweeps.store.gaps import Gaps
from sweeps.store.listing import Page
from sweeps.testing import FakeClock


def none_revoked(token_ids):
    return frozenset()


def token(token_id: str = "ann", expires_at: float | None = None) -> Token:
    return Token(token_id, token_id, Scope.VIEWER, "bob", 0.0, expires_at, None, None)


def config(clock: FakeClock | None = None, **limits) -> ServiceConfig:
    return ServiceConfig(limits=Limits(**limits), clock=clock or FakeClock(), monotonic=FakeClock(0.0))


def feed_of(listing, config: ServiceConfig, revoked=none_revoked) -> Feed:
    return Feed(listing, Gaps(listing, config.clock, config.monotonic), revoked, config)


class _Unlucky:
    """A listing that fails at first, in a way that nobody expects."""

    def __init__(self) -> None:
        self.asked = 0

    def last_event(self) -> int:
        self.asked += 1
        if self.asked == 1:
            raise ValueError("unexpected")
        return 7

    def event_times(self, **_: object) -> list[tuple[int, float]]:
        return []

    def events(self, **_: object) -> Page:
        return Page([], None)


def test_the_feed_outlives_what_nobody_expects(caplog):
    """It writes the failure into the log and looks again."""
    listing = _Unlucky()
    feed = feed_of(listing, ServiceConfig(limits=Limits(stream_poll_s=0)))

    async def look() -> None:
        looking = asyncio.create_task(feed.run())
        await asyncio.wait_for(feed._ready.wait(), 10)
        looking.cancel()

    asyncio.run(look())
    assert listing.asked == 2
    assert "the event feed failed" in caplog.text


class _Store:
    """A listing of events by their ids, all of one moment."""

    def __init__(self, *ids: int, at: float = 0.0) -> None:
        self.ids, self.at = list(ids), at

    def last_event(self) -> int:
        return max(self.ids, default=0)

    def event_times(self, *, after: int, limit: int) -> list[tuple[int, float]]:
        return [(each, self.at) for each in self.ids if each > after][:limit]

    def events(self, *, limit: int, after: int, **_: object) -> Page:
        return Page([event(each) for each in self.ids if each > after][:limit], None)


def event(event_id: int) -> EventRecord:
    return EventRecord(event_id, "sweep.claimed", None, None, 1, 0.0, {}, None, "parts-a2b3c4")


def test_what_may_still_come_before_an_event_is_waited_for():
    """Nothing behind a missing id is handed out, neither as it comes nor as what was there before."""
    clock = FakeClock()
    store = _Store(1, 3, at=clock.now)
    feed = feed_of(store, config(clock, stream_poll_s=0))

    async def listen() -> list[str]:
        looking = asyncio.create_task(feed.run())
        stream = feed.stream(token(), None, after=0)
        heard = [await anext(stream), await anext(stream)]
        coming = asyncio.create_task(anext(stream))
        store.ids.insert(1, 2)
        heard += [await asyncio.wait_for(coming, 30), await anext(stream)]
        looking.cancel()
        await stream.aclose()
        return heard

    lines = [line.splitlines()[0] for line in asyncio.run(listen())]
    assert lines == [": listening", "id: 1", "id: 2", "id: 3"]


def test_who_has_seen_more_than_there_is_hears_what_comes():
    """As after the store was restored from a backup: the id that was seen last is the store's last."""
    store = _Store(7)
    feed = feed_of(store, config(stream_poll_s=0))

    async def listen() -> list[str]:
        looking = asyncio.create_task(feed.run())
        stream = feed.stream(token(), None, after=1000)
        heard = [await anext(stream)]
        coming = asyncio.create_task(anext(stream))
        while not feed.listeners:
            await asyncio.sleep(0)
        store.ids.append(8)
        heard.append(await asyncio.wait_for(coming, 30))
        looking.cancel()
        await stream.aclose()
        return heard

    assert [line.splitlines()[0] for line in asyncio.run(listen())] == [": listening", "id: 8"]


def test_the_stream_of_a_revoked_token_ends():
    """One question for all who listen; who has another token goes on."""
    asked, revoked, moments = [], set(), FakeClock(0.0)

    def which(token_ids):
        asked.append(token_ids)
        return revoked & token_ids

    store = _Store(7)
    feed = feed_of(store, ServiceConfig(limits=Limits(stream_poll_s=0), monotonic=moments), which)

    async def listen() -> list[str]:
        looking = asyncio.create_task(feed.run())
        streams = [feed.stream(token(name), None, None) for name in ("ann", "bob")]
        for stream in streams:
            assert await anext(stream) == ": listening\n\n"
        ann, bob = (asyncio.create_task(anext(stream)) for stream in streams)
        while feed.listeners < 2:
            await asyncio.sleep(0)
        revoked.add("ann")
        moments.tick(5.0)
        heard = [await asyncio.wait_for(ann, 30)]
        with pytest.raises(StopAsyncIteration):
            await anext(streams[0])
        store.ids.append(8)
        heard.append(await asyncio.wait_for(bob, 30))
        looking.cancel()
        await streams[1].aclose()
        return heard

    heard = asyncio.run(listen())
    assert [line.splitlines()[0] for line in heard] == [": the token is not valid any more", "id: 8"]
    assert asked == [{"ann", "bob"}]


def test_the_stream_of_a_token_that_expires_ends():
    """At its time, and not at the next event."""
    clock = FakeClock(100.0)
    feed = feed_of(_Store(7), config(clock, stream_poll_s=0, stream_quiet_s=0.0))

    async def listen() -> list[str]:
        looking = asyncio.create_task(feed.run())
        stream = feed.stream(token(expires_at=160.0), None, None)
        heard = [await anext(stream), await anext(stream)]
        clock.tick(60.0)
        heard += [line async for line in stream]
        looking.cancel()
        return heard

    lines = [line.strip() for line in asyncio.run(listen())]
    assert lines == [": listening", ": still here", ": the token is not valid any more"]


def test_one_token_and_all_together_have_so_many_streams():
    """One whose answer never began is not counted for ever."""
    feed = feed_of(_Store(), config(streams=3, streams_of_token=2))
    held = [feed.stream(token(), None, None) for _ in range(2)]
    with pytest.raises(Refused) as refused:
        feed.stream(token(), None, None)
    assert refused.value.kind == TOO_MANY
    held.append(feed.stream(token("bob"), None, None))
    with pytest.raises(Refused) as refused:
        feed.stream(token("cid"), None, None)
    assert (refused.value.kind, refused.value.headers) == (TOO_BUSY, {"Retry-After": "30"})
    held.clear()
    gc.collect()
    feed.stream(token(), None, None)
