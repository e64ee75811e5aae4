"""A webhook on loopback that keeps what it is sent."""

import json
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = "5ecret-hook-9f3b"
"""Stands in the webhook's path, and must stand nowhere else."""

WAIT_S = 60.0


class Webhook(ThreadingHTTPServer):
    """A webhook.

    Attributes:
        messages: JSON documents as they come.
        status: What it answers.
        mute: While it is clear, nobody gets an answer.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.messages: queue.Queue[dict[str, Any]] = queue.Queue()
        self.status = 200
        self.mute = threading.Event()
        self.mute.set()

    @property
    def url(self) -> str:
        """As Apprise reads it."""
        return f"json://ann:{SECRET}@127.0.0.1:{self.server_port}/{SECRET}"

    def next(self) -> dict[str, Any]:
        """The next message, once it is there."""
        return self.messages.get(timeout=WAIT_S)

    def all(self) -> list[dict[str, Any]]:
        """The messages that are there."""
        return [self.messages.get_nowait() for _ in range(self.messages.qsize())]


class _Handler(BaseHTTPRequestHandler):
    server: Webhook

    def do_POST(self) -> None:
        document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.status == 200:
            self.server.messages.put(document)
        self.server.mute.wait(WAIT_S)
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@contextmanager
def webhook() -> Iterator[Webhook]:
    """One that listens."""
    made = Webhook()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield made
    finally:
        made.mute.set()
        made.shutdown()
        thread.join()
        made.server_close()
