"""Whether a command is for a service, or for a home on this machine."""

import os
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

from sweeps.core.errors import UserError
from sweeps.settings import secret

if TYPE_CHECKING:
    from sweeps.client import Client

REMOTE = frozenset({"submit", "ls", "show", "pause", "resume", "extend", "cancel", "events"})
"""Commands that a service does."""

_server: ContextVar[str | None] = ContextVar("server", default=None)


def choose_server(url: str | None, command: str | None) -> None:
    """Takes `--server` from the command line.

    Raises:
        UserError: The command is not one that a service does.
    """
    if url is not None and command not in REMOTE:
        raise UserError(
            f"--server: {command} works on this machine", f"a service does {', '.join(sorted(REMOTE))}"
        )
    _server.set(url)


def service_client(home: Path | None) -> "Client | None":
    """The client of the service that is meant; None: a home on this machine.

    A home that is named on the command line is meant, whatever the environment says.

    Raises:
        UserError: Both a service and a home are named, or the token's file cannot be read.
    """
    named = _server.get()
    if named and home is not None:
        raise UserError("got --server and --home", "name the one that has the sweep")
    url = named or (os.environ.get("MASKSWEEP_SERVER") if home is None else None)
    if not url:
        return None
    from sweeps.client import Client  # noqa: PLC0415 - most commands need no HTTP

    return Client(url, secret(os.environ, "MASKSWEEP_TOKEN"))
