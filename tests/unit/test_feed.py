"""The feed of events: what it outlives, whom it lets listen, and for how long."""

import asyncio
import gc

import pytest

from sweeps.api.config import Limits, ServiceConfig
from sweeps.api.feed import Feed
from sweeps.api.problems import TOO_BUSY, TOO_MANY, Refused
from sweeps.core.scopes import Scope
from sweeps.records import EventRecord, Token
from sweeps.store.listing import Page
from sweeps.testing import FakeClock


def none_revoked(token_ids):
    return frozenset()


def token(token_id: str = "ann", expires_at: float | None = None) -> Token:
    return Token(token_id, token_id, Scope.VIEWER, "bob", 0.0, expires_at, None, None)


def config(clock: FakeClock | None = None, **limits) -> ServiceConfig:
    return ServiceConfig(limits=Limits(**limits), clock=clock or FakeClock(), monotonic=FakeClock(0.0))


class _Unlucky:
    """A listing that fails at first, in a way that nobody expects."""

    def __init__(self) -> None:
        self.asked = 0

    def last_event(self) -> int:
        self.asked += 1
        if self.asked == 1:
            raise ValueError("unexpected")
        return 7

    def events(self, **_: object) -> Page:
        return Page([], None)


def test_the_feed_outlives_what_nobody_expects(caplog):
    """It writes the failure into the log and looks again."""
    listing = _Unlucky()
    feed = Feed(listing, none_revoked, ServiceConfig(limits=Limits(stream_poll_s=0)))

    async def look() -> None:
        looking = asyncio.create_task(feed.run())
        await asyncio.wait_for(feed._ready.wait(), 10)
        looking.cancel()

    asyncio.run(look())
    assert listing.asked == 2
    assert "the event feed failed" in caplog.text


class _Store:
    """A listing of events by their ids."""

    def __init__(self, *ids: int) -> None:
        self.ids = list(ids)

    def last_event(self) -> int:
        return max(self.ids, default=0)

    def events(self, *, limit: int, after: int, sweep_id: str | None = None) -> Page:
        return Page([event(each) for each in self.ids if each > after][:limit], None)


def event(event_id: int) -> EventRecord:
    return EventRecord(event_id, "sweep.claimed", None, None, 1, 0.0, {}, None, "parts-a2b3c4")


def test_several_gaps_in_the_ids_are_waited_for_at_once():
    """Each may be a transaction that has not ended; the last event is not five seconds a gap late."""
    clock = FakeClock()
    feed = Feed(_Store(2, 4, 6), none_revoked, ServiceConfig(monotonic=clock))

    async def look() -> int:
        await feed._look()
        return feed._seen

    assert asyncio.run(look()) == 0
    clock.tick(4.9)
    assert asyncio.run(look()) == 0
    clock.tick(0.2)
    assert asyncio.run(look()) == 6
    assert not feed._noticed


def test_who_has_seen_more_than_there_is_hears_what_comes():
    """As after the store was restored from a backup: the id that was seen last is the store's last."""
    store = _Store(7)
    feed = Feed(store, none_revoked, config(stream_poll_s=0))

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
    feed = Feed(store, which, ServiceConfig(limits=Limits(stream_poll_s=0), monotonic=moments))

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
    feed = Feed(_Store(7), none_revoked, config(clock, stream_poll_s=0, stream_quiet_s=0.0))

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
    feed = Feed(_Store(), none_revoked, config(streams=3, streams_of_token=2))
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
