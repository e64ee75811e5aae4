"""A body that trickles in over a real socket is not waited for."""

import http.client
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
import uvicorn

from sweeps.api.app import create_app
from sweeps.api.config import ServiceConfig
from sweeps.core.scopes import Scope
from sweeps.service import SweepService
from sweeps.store.engine import open_engine
from sweeps.store.migrations import upgrade
from sweeps.store.tokens import Tokens
from tests.service_client import ROOMY


@pytest.fixture
def service(tmp_path) -> Iterator[tuple[int, str]]:
    """The port and a token of a service that waits a fifth of a second for a body."""
    engine = open_engine(f"sqlite:///{tmp_path}/store.db")
    upgrade(engine)
    token, _ = Tokens(engine).create("ann", Scope.OPERATOR, by="test", now=1.0, expires_at=None)
    app = create_app(SweepService(engine), ServiceConfig(limits=replace(ROOMY, body_s=0.2)))
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None)
    socket, server = config.bind_socket(), uvicorn.Server(config)
    socket.listen()  # who comes before the server is up waits for it
    thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]})
    thread.start()
    yield socket.getsockname()[1], token
    server.should_exit = True
    thread.join()


def test_a_body_that_does_not_come_is_given_up(service):
    """408 as a problem, and the connection is closed, whatever comes later; others are answered."""
    port, token = service
    slow = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    slow.putrequest("POST", "/api/v1/sweeps")
    slow.putheader("Authorization", f"Bearer {token}")
    slow.putheader("Content-Length", "100")
    slow.endheaders(b"{")
    answer = slow.getresponse()
    assert (answer.status, answer.headers["Content-Type"]) == (408, "application/problem+json")
    assert b"not there after 0.2 s" in answer.read()
    assert answer.will_close
    other = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    other.request("GET", "/api/v1/knobs", headers={"Authorization": f"Bearer {token}"})
    assert other.getresponse().status == 200
    other.close()
