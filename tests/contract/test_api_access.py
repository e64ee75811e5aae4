"""What the API lets in, how often, and how it refuses."""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace

import httpx2
import pytest
from starlette.concurrency import run_in_threadpool
from starlette.testclient import TestClient

from sweeps.api.app import create_app
from sweeps.api.config import ServiceConfig
from sweeps.api.room import MOST_AT_WORK
from sweeps.store.tokens import Tokens
from tests.service_client import CURVES, ROOMY, Service, problem, served

_made = iter(range(10_000))


@pytest.fixture
def api(service) -> Iterator[Service]:
    with served(service, prefix=f"t{next(_made)}") as api:
        yield api


def test_large_requests_and_many_are_refused(service):
    """A body over the limit is not read to its end; a client that asks too often waits, others do not."""
    limits = replace(ROOMY, body_bytes=1000, requests_per_s=1.0, burst=3)
    with served(service, limits=limits, prefix=f"t{next(_made)}") as api:
        problem(api("POST", "/sweeps", content=b" " * 1001), 413, "too-large")
        problem(api("POST", "/sweeps", content=iter([b" " * 600, b" " * 600])), 413, "too-large")
        assert api("GET", "/knobs").status_code == 200
        refused = api("GET", "/knobs")
        problem(refused, 429, "too-many-requests")
        assert refused.headers["Retry-After"] == "1"
        assert api("GET", "/knobs", scope="viewer").status_code == 200
        api.seconds.tick(1.0)
        assert api("GET", "/knobs").status_code == 200


def test_guesses_of_tokens_do_not_reach_the_store(service, monkeypatch):
    """After so many that are wrong; who was let in before from the same address still is."""
    found, find = [], Tokens.find
    monkeypatch.setattr(Tokens, "find", lambda *args: found.append(args[1]) or find(*args))
    limits = replace(ROOMY, requests_per_s=10.0, burst=20)
    with served(service, limits=limits, prefix=f"t{next(_made)}") as api:
        assert api("GET", "/knobs").status_code == 200
        for _ in range(5):
            guess = {"Authorization": f"Bearer msk_{'a' * 12}_{'b' * 43}"}
            statuses = api("GET", "/knobs", scope=None, headers=guess).status_code
        assert (statuses, len(found)) == (429, 3)
        assert api("GET", "/knobs").status_code == 200
        problem(api("GET", "/knobs", scope="viewer"), 429, "too-many-requests")  # nobody knows that one yet
        api.seconds.tick(1.0)
        assert api("GET", "/knobs", scope="viewer").status_code == 200


async def at_once(api: Service, requests: int, **headers: str) -> list[int]:
    """The statuses of requests to one route which are all made before one of them is answered."""
    transport = httpx2.ASGITransport(app=api.client.app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test", headers=headers) as client:
        answers = await asyncio.gather(*(client.get("/api/v1/knobs") for _ in range(requests)))
    return sorted(answer.status_code for answer in answers)


def test_guesses_at_once_do_not_reach_the_store_either(service, monkeypatch):
    """Each is counted before the store is asked, and given back to who turns out to be known."""
    found, find = [], Tokens.find
    monkeypatch.setattr(Tokens, "find", lambda *args: found.append(args[1]) or find(*args))
    limits = replace(ROOMY, requests_per_s=10.0, burst=20)
    with served(service, limits=limits, prefix=f"t{next(_made)}") as api:
        guess = f"Bearer msk_{'a' * 12}_{'b' * 43}"
        assert asyncio.run(at_once(api, 30, authorization=guess)) == [401] * 2 + [429] * 28
        assert len(found) == 2
        api.seconds.tick(2.0)
        for scope in ("viewer", "operator", "admin"):
            assert api("GET", "/knobs", scope=scope).status_code == 200


def test_who_waits_for_data_or_mlflow_holds_up_no_other(service, tmp_path):
    """So many of them are let in, one at a time mirrors; with every thread taken the service is alive."""
    limits = replace(ROOMY, mirroring_s=0.05)
    tracking = f"sqlite:///{tmp_path}/mlflow.db"
    with served(service, limits=limits, prefix=f"t{next(_made)}", tracking_uri=tracking) as api:
        sweep_id, core = api.submit(), api.client.app.state.core
        assert core.at_work == 0
        core.at_work = MOST_AT_WORK
        for answer in (
            api("POST", "/plan", json=CURVES),
            api("POST", "/sweeps", json=CURVES),
            api("GET", f"/sweeps/{sweep_id}/importance"),
        ):
            problem(answer, 503, "too-busy")
            assert answer.headers["Retry-After"] == "10"
        assert api("GET", "/sweeps").status_code == 200
        core.at_work = 0
        with core.mirroring:
            problem(api("POST", f"/sweeps/{sweep_id}/mirror"), 503, "too-busy")
        assert core.at_work == 0

        async def healthz() -> int:
            gate = threading.Event()
            busy = [asyncio.create_task(run_in_threadpool(gate.wait)) for _ in range(50)]
            await asyncio.sleep(0)
            transport = httpx2.ASGITransport(app=api.client.app)
            try:
                async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
                    return (await client.get("/healthz")).status_code
            finally:
                gate.set()
                await asyncio.gather(*busy)

        assert asyncio.run(healthz()) == 200


def test_event_streams_are_so_many(service):
    """Of one token, and of all."""
    for limits, status, kind in (
        (replace(ROOMY, streams_of_token=0), 429, "too-many-requests"),
        (replace(ROOMY, streams=0), 503, "too-busy"),
    ):
        with served(service, limits=limits, prefix=f"t{next(_made)}") as api:
            problem(api("GET", "/events/stream"), status, kind)


def test_parameters_that_are_not_known_are_refused(api):
    """All at once: a misspelt filter would list everything. What balancers add to a query is let pass."""
    params = [("sate", "RUNNING"), ("x", "1"), ("x", "2")]
    answer = problem(api("GET", "/sweeps", params=params), 422, "invalid")
    sate, x = answer["issues"]
    assert (sate["path"], sate["hint"]) == ("query.sate", "did you mean state?")
    assert sate["problem"].startswith("unknown parameter, allowed: state, ")
    assert (x["path"], x["hint"]) == ("query.x", None)
    none = problem(api("GET", "/knobs", params={"limit": 1}), 422, "invalid")
    assert none["issues"][0]["problem"] == "unknown parameter, allowed: none"
    assert api.client.get("/healthz?x=1").status_code == 200


def test_refusals_of_parameters_and_bodies_say_what_was_got_and_what_to_do(api):
    """Of each, with an example where there is one."""
    answer = problem(api("GET", "/sweeps", params={"limit": "many", "cursor": "a" * 2001}), 422, "invalid")
    limit, cursor = sorted(answer["issues"], key=lambda issue: issue["path"], reverse=True)
    assert limit["problem"].startswith("got many: input should be a valid integer")
    assert (limit["hint"], cursor["hint"]) == ("Items of a page", "`next` of the page before")
    headers = {"Idempotency-Key": "a b"}
    key = problem(api("POST", f"/sweeps/{api.submit()}/pause", headers=headers), 422, "invalid")
    assert ", as 6f1c8b1e" in key["issues"][0]["hint"]
    body = {"nam": "ann", "days": -1}
    token = problem(api("POST", "/tokens", scope="admin", json=body), 422, "invalid-body")
    found = {issue["path"]: (issue["problem"], issue["hint"]) for issue in token["issues"]}
    assert found["nam"] == ("unknown field, allowed: name, scope, days", "did you mean name?")
    assert found["name"] == ("missing", "Whose it is, as ann")
    assert found["days"] == ("got -1: input should be greater than 0", "Until it expires; null: never")
    assert "openapi.json" in problem(api("GET", "/nothing"), 404, "http")["hint"]
    assert problem(api("DELETE", "/knobs"), 405, "http")["hint"] == "allowed here: GET"
    refused = api("PUT", "/sweeps")
    assert problem(refused, 405, "http")["hint"] == "allowed here: GET, POST"
    assert refused.headers["Allow"] == "GET, POST"


def test_a_service_with_a_certificate_tells_browsers_to_keep_to_it(service):
    """And one without does not."""
    for https in (True, False):
        config = ServiceConfig(limits=ROOMY, https=https)
        with TestClient(create_app(service, config)) as client:
            assert ("Strict-Transport-Security" in client.get("/healthz").headers) is https


def test_answers_carry_security_headers(api):
    """Refusals too."""
    for scope in (None, "viewer"):
        headers = api("GET", "/knobs", scope=scope).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
