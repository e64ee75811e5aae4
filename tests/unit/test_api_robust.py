"""What the service's API does with much, and with what should not happen."""

import asyncio
import json
import socket
import time

import pytest
import sqlalchemy as sa
import uvicorn

from sweeps.api.config import Limits
from sweeps.api.feed import Feed
from sweeps.api.problems import invalid_problem
from sweeps.api.submitting import read_document
from sweeps.bootstrap import open_service
from sweeps.cli.serve import _bound
from sweeps.core.errors import StoreUnavailable
from sweeps.records import EventRecord
from sweeps.settings import Settings
from sweeps.store.engine import _answering
from sweeps.store.listing import Listing, Page
from sweeps.testing import FakeClock
from tests.service_client import served


def test_a_body_of_many_keys_costs_little():
    """100,000 keys of one object are read in seconds at the most: not each compared with each."""
    body = json.dumps({f"k{number}": 0 for number in range(100_000)}).encode()
    began = time.process_time()
    read_document(body, "application/json")
    assert time.process_time() - began < 5


def test_each_problem_of_a_request_is_told_once():
    """As many issues as there are problems."""
    errors = [{"loc": ("query", name), "msg": "wrong", "type": "x"} for name in "abc"]
    document = invalid_problem(errors, "/")
    assert ([issue.path for issue in document.issues], document.detail) == (
        ["query.a", "query.b", "query.c"],
        "3 problems",
    )


def test_a_pool_without_a_free_connection_is_an_unavailable_store():
    """It is a matter of waiting, not a fault of the service."""
    with pytest.raises(StoreUnavailable), _answering(sa.create_engine("sqlite://")):
        raise sa.exc.TimeoutError("QueuePool limit reached")


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
    feed = Feed(listing, Limits(stream_poll_s=0), time.monotonic)

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
    feed = Feed(_Store(2, 4, 6), Limits(), clock)

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
    feed = Feed(store, Limits(stream_poll_s=0), FakeClock())

    async def listen() -> list[str]:
        looking = asyncio.create_task(feed.run())
        stream = feed.stream(None, after=1000)
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


def test_a_fault_is_answered_as_anything_else_and_measured(tmp_path, monkeypatch, caplog):
    """With the headers of every answer and no word of what failed, which the log has."""
    service = open_service(Settings.load(tmp_path, environ={}), create=True)
    monkeypatch.setattr(Listing, "sweeps", lambda *_, **__: 1 / 0)
    with served(service) as api:
        answer = api("GET", "/sweeps")
        assert answer.status_code == 500
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "division" not in answer.text
        proof = {"Authorization": f"Bearer {api.tokens['viewer']}"}
        numbers = api.client.get("/metrics", headers=proof).text.splitlines()
    assert any("_count" in line and 'status="500"' in line and "/api/v1/sweeps" in line for line in numbers)
    assert "ZeroDivisionError" in caplog.text
    service.engine.dispose()


def test_who_asks_before_the_service_has_started_waits():
    """It is said to be there as soon as its socket is bound; nobody who believes that is refused."""
    with _bound(uvicorn.Config("none", host="127.0.0.1", port=0)) as bound:
        socket.create_connection(bound.getsockname(), timeout=5).close()
