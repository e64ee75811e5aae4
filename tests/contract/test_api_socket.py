"""The API behind a real web server and socket, where bodies arrive in pieces."""

import json
import socket
import threading

import uvicorn

from sweeps.api.config import Limits
from tests.service_client import served


def test_a_body_that_trickles_in_is_given_up(service):
    """408 and a closed connection once its time has run out; what comes in pieces but in time is read."""
    heard = socket.create_server(("127.0.0.1", 0))
    with served(service, limits=Limits(body_s=2.0), prefix="slow") as api, heard:
        server = uvicorn.Server(uvicorn.Config(api.client.app, log_level="critical", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [heard]})
        thread.start()
        try:
            head = (
                "POST /api/v1/plan HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n"
                "Content-Type: application/yaml\r\n"
                f"Authorization: Bearer {api.tokens['operator']}\r\n\r\n"
            )
            slow, answer = ask(heard, head.encode(), b"vers")
            assert slow.startswith("HTTP/1.1 408")
            assert "content-type: application/problem+json" in slow.lower()
            assert answer["type"] == "urn:masksweep:problem:too-slow"
            assert answer["detail"] == "the body did not arrive within 2 s"
            last = head.replace("Host: x", "Host: x\r\nConnection: close")
            whole, _ = ask(heard, last.encode(), b"vers", b"ion: ")
            assert whole.startswith("HTTP/1.1 422")
        finally:
            server.should_exit = True
            thread.join()


def ask(server: socket.socket, *pieces: bytes) -> tuple[str, dict]:
    """Sends pieces, and reads until the server closes the connection: the head and the document."""
    with socket.create_connection(server.getsockname(), timeout=60) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            connection.sendall(piece)
        answer = b""
        while more := connection.recv(65536):
            answer += more
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.decode(), json.loads(body)
