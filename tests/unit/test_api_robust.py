"""What the service's API does with much, and with what should not happen."""

import json
import socket
import time

import pytest
import sqlalchemy as sa
import uvicorn

from sweeps.api.bodies import Sent, read_document, read_object
from sweeps.api.problems import invalid_problem
from sweeps.bootstrap import open_service
from sweeps.cli.serve import _bound
from sweeps.core.errors import SpecInvalid, StoreUnavailable
from sweeps.settings import Settings
from sweeps.store.engine import _answering
from sweeps.store.listing import Listing
from tests.service_client import served


def test_a_body_of_many_keys_costs_little():
    """100,000 keys of one object are read in seconds at the most: not each compared with each."""
    body = json.dumps({f"k{number}": 0 for number in range(100_000)}).encode()
    began = time.process_time()
    with pytest.raises(SpecInvalid, match="characters are too many"):
        read_document(Sent(body, "application/json"))
    read_object(Sent(body, "application/json"))
    assert time.process_time() - began < 5


def test_each_problem_of_a_request_is_told_once():
    """As many issues as there are problems."""
    errors = [{"loc": ("query", name), "msg": "Wrong", "type": "x", "input": 1} for name in "abc"]
    document = invalid_problem(errors, "/", {"a": "a letter"})
    assert [(issue.problem, issue.hint) for issue in document.issues][:2] == [
        ("got 1: wrong", "a letter"),
        ("got 1: wrong", None),
    ]
    assert ([issue.path for issue in document.issues], document.detail) == (
        ["query.a", "query.b", "query.c"],
        "3 problems",
    )


def test_a_pool_without_a_free_connection_is_an_unavailable_store():
    """It is a matter of waiting, not a fault of the service."""
    with pytest.raises(StoreUnavailable), _answering(sa.create_engine("sqlite://")):
        raise sa.exc.TimeoutError("QueuePool limit reached")


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
