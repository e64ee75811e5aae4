"""What the service's API does with much, and with what should not happen."""

import asyncio
import json
import time

import pytest
import sqlalchemy as sa

from sweeps.api.config import Limits
from sweeps.api.feed import Feed
from sweeps.api.problems import invalid_problem
from sweeps.api.submitting import read_document
from sweeps.core.errors import StoreUnavailable
from sweeps.store.engine import _answering
from sweeps.store.listing import Page


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
