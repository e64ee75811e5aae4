"""Heads and bodies that trickle in over real sockets are not waited for, nor clients that take no answer."""

import asyncio
import http.client
import socket
import ssl
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import repeat

import pytest
import uvicorn

from sweeps.api.app import create_app
from sweeps.api.config import ServiceConfig
from sweeps.cli.connections import Loop, connection_class
from sweeps.core.scopes import Scope
from sweeps.service import SweepService
from sweeps.store.engine import open_engine
from sweeps.store.migrations import upgrade
from sweeps.store.tokens import Tokens
from tests.service_client import ROOMY


@contextmanager
def running(tmp_path, **options) -> Iterator[tuple[int, str]]:
    """The port and a token of a service that waits a fifth of a second for a body."""
    engine = open_engine(f"sqlite:///{tmp_path}/store.db")
    upgrade(engine)
    token, _ = Tokens(engine).create("ann", Scope.OPERATOR, by="test", now=1.0, expires_at=None)
    app = create_app(SweepService(engine), ServiceConfig(limits=replace(ROOMY, body_s=0.2)))
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, **options)
    bound, server = config.bind_socket(), uvicorn.Server(config)
    bound.listen()  # who comes before the server is up waits for it
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
    thread.start()
    try:
        yield bound.getsockname()[1], token
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def service(tmp_path) -> Iterator[tuple[int, str]]:
    with running(tmp_path) as found:
        yield found


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


def closed(connection, seconds=30.0) -> bool:
    connection.settimeout(seconds)
    return connection.recv(1) == b""


@pytest.fixture
def guarded(tmp_path) -> Iterator[int]:
    """The port of a service that waits two seconds for a head, and for five of an address at once."""
    with running(tmp_path, http=connection_class(2.0, 5)) as (port, _):
        yield port


def test_a_head_that_does_not_come_is_given_up(guarded):
    """Of a connection that says nothing, half of a head, or half of a second one after an answer."""
    said = [b"", b"GET /healthz HTTP/1.1\r\n", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HT"]
    opened = [socket.create_connection(("127.0.0.1", guarded)) for _ in said]
    for connection, text in zip(opened, said, strict=True):
        connection.sendall(text)
    assert opened[2].recv(4096).startswith(b"HTTP/1.1 200")
    opened[2].recv(4096)
    assert all(closed(connection) for connection in opened)


def test_an_address_has_a_number_of_connections_that_say_nothing(guarded):
    """One more is closed at once; when the others have said what they want there is room again."""
    opened = [socket.create_connection(("127.0.0.1", guarded)) for _ in range(5)]
    one_more = socket.create_connection(("127.0.0.1", guarded))
    assert closed(one_more, 1.5)  # before the others are
    for connection in opened:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
    again = http.client.HTTPConnection("127.0.0.1", guarded, timeout=60)
    again.request("GET", "/healthz")
    assert again.getresponse().status == 200
    again.close()


def test_a_client_that_takes_no_answer_is_given_up(tmp_path):
    """One that asks again and again and reads nothing; what it was sent is lost with it."""
    with running(tmp_path, http=connection_class(taken_s=0.5)) as (port, _):
        greedy = socket.socket()
        greedy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        greedy.connect(("127.0.0.1", port))
        greedy.settimeout(60.0)
        asked = b"GET /api/v1/knobs HTTP/1.1\r\nHost: x\r\n\r\n" * 1000
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            deque(map(greedy.sendall, repeat(asked)), maxlen=0)


class Hasty(Loop):
    """Has a fifth of a second for a handshake."""

    handshake_s = 0.2


def test_a_handshake_that_does_not_come_is_given_up():
    """Of who connects to a service with a certificate, and says nothing."""

    async def knock() -> bytes:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0, ssl=context)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            said = await asyncio.wait_for(reader.read(), 30.0)
            writer.close()
            return said

    with asyncio.Runner(loop_factory=Hasty) as runner:
        assert runner.run(knock()) == b""
