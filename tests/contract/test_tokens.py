"""Tokens of the service on every store: what they may be called, and who hears of them."""

import asyncio
from collections.abc import Iterator
from itertools import pairwise

import pytest

from sweeps.api.config import ServiceConfig
from sweeps.api.feed import Feed
from sweeps.core.errors import UserError
from sweeps.core.scopes import Scope
from sweeps.service import SweepService
from sweeps.store.gaps import Gaps
from sweeps.store.listing import Listing
from sweeps.store.tokens import Tokens
from tests.service_client import ROOMY, Service, problem, served


@pytest.fixture(scope="module")
def api(engine) -> Iterator[Service]:
    """The whole service over a store, with a token of each scope."""
    with served(SweepService(engine), prefix="tokens") as service:
        yield service


@pytest.mark.parametrize("name", ["masksweep-supervisor@lab", "masksweep-scheduler", "MaskSweep-x"])
def test_no_token_is_named_as_the_service_itself(engine, api, name):
    """What it asked for would look like the service's own doing: a pause of its own holds no sweep."""
    with pytest.raises(UserError) as refused:
        Tokens(engine).create(name, Scope.OPERATOR, by="ann@lab", now=1.0)
    assert str(refused.value) == f"got the name {name!r}, but masksweep-* is what the service itself does"
    assert refused.value.hint == "take a name that says whose it is, such as ann"
    answer = problem(api("POST", "/tokens", scope="admin", json={"name": name}), 422, "invalid")
    assert answer["detail"] == str(refused.value)
    assert name not in [token.name for token in Tokens(engine).all()]


def of_tokens(api: Service, scope: str) -> list[dict]:
    """The events of tokens that an audit has for who has a token of that scope, all pages."""
    found, after = [], 0
    while after is not None:
        page = api("GET", f"/events?after={after}&limit=2", scope=scope).json()
        assert all(earlier["event_id"] < later["event_id"] for earlier, later in pairwise(page["events"]))
        found += [each for each in page["events"] if each["kind"].startswith("token.")]
        after = page["next"]
    return found


def test_who_made_and_revoked_a_token_is_told_to_admins(api):
    """With its scope and when it expires, never its text; once, however often it is revoked."""
    body = {"name": "dora", "scope": "operator", "days": 2}
    text = api("POST", "/tokens", scope="admin", json=body).json()["token"]
    for _ in range(2):
        assert api("POST", "/tokens/dora/revoke", scope="admin").status_code == 200
    told = [each for each in of_tokens(api, "admin") if each["data"]["name"] == "dora"]
    now, by = api.clock.now, "tokens-admin"
    assert [(each["kind"], each["at"], each["by"], each["data"]) for each in told] == [
        ("token.created", now, by, {"name": "dora", "scope": "operator", "expires_at": now + 2 * 86400.0}),
        ("token.revoked", now, by, {"name": "dora"}),
    ]
    assert {(each["sweep_id"], each["number"], each["epoch"]) for each in told} == {(None, None, 0)}
    assert text.split("_", 2)[2] not in str(told)
    for scope in ("viewer", "operator"):
        assert of_tokens(api, scope) == []


def test_a_name_that_is_taken_leaves_no_event(engine, api):
    """Nothing was made."""
    before = of_tokens(api, "admin")
    problem(api("POST", "/tokens", scope="admin", json={"name": "tokens-viewer"}), 409, "name-taken")
    assert of_tokens(api, "admin") == before


@pytest.mark.parametrize("behind", [False, True])
def test_the_stream_of_all_sweeps_tells_admins_of_tokens(engine, api, behind):
    """As they are made, or from the store for who comes later; others hear of the sweep that came after."""
    config = ServiceConfig(limits=ROOMY, clock=api.clock)
    listing, tokens = Listing(engine), Tokens(engine)
    feed = Feed(listing, Gaps(listing, config.clock, config.monotonic), tokens.revoked, config)
    admin, viewer = (tokens.find(api.tokens[scope], api.clock()) for scope in ("admin", "viewer"))

    async def first_event(token, sweep_id, last) -> str:
        async for text in feed.stream(token, sweep_id, last):
            if text.startswith("id:"):
                return text
        raise AssertionError("the stream has ended")

    async def listen() -> list[str]:
        looking = asyncio.create_task(feed.run())
        last = listing.last_event()
        await asyncio.wait_for(feed._ready.wait(), 10)
        waiting = []
        if not behind:
            waiting = [asyncio.create_task(first_event(each, None, None)) for each in (admin, viewer)]
            while feed.listeners < len(waiting):
                await asyncio.sleep(0)
        await asyncio.to_thread(tokens.create, f"eve {behind}", Scope.VIEWER, by="ann@lab", now=api.clock())
        await asyncio.to_thread(api.submit)
        waiting = waiting or [asyncio.create_task(first_event(each, None, last)) for each in (admin, viewer)]
        got = await asyncio.wait_for(asyncio.gather(*waiting), 30)
        looking.cancel()
        return got

    to_admin, to_viewer = asyncio.run(listen())
    assert "event: token.created" in to_admin
    assert f"eve {behind}" in to_admin
    assert "event: sweep.created" in to_viewer


def test_no_name_ends_with_a_space(engine, api):
    """In the audit it would look like another one."""
    with pytest.raises(UserError, match="with spaces between them"):
        Tokens(engine).create("ann ", Scope.VIEWER, by="ann@lab", now=1.0)
    problem(api("POST", "/tokens", scope="admin", json={"name": "ann "}), 422, "invalid-body")
