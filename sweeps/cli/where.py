"""Whether a command is for a service, or for a home on this machine."""

import os
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from sweeps.core.errors import UserError
from sweeps.settings import secret

if TYPE_CHECKING:
    from sweeps.client import Client

REMOTE = frozenset(
    {
        *("submit", "ls", "show", "pause", "resume", "extend", "cancel", "events"),
        *("plan", "compare", "importance", "mirror", "champion", "schedule", "notify"),
    }
)
"""Commands that a service does, also where MASKSWEEP_SERVER alone names it."""

REMOTE_IF_NAMED = frozenset({"knobs", "metrics", "token"})
"""Commands that a service does where `--server` names it; they need none, and the first token has to be made
without one."""

LOCAL = MappingProxyType(
    {
        "run": "it trains here; submit gives a spec to the service",
        "drive": "a service's supervisor starts it where the sweep is to be driven",
        "evaluate": "it scores files of this machine with the runner installed here",
        "dataset": "it writes files on this machine",
        "serve": "it is the service",
    }
)
"""Commands that no service does, each with why."""

_server: ContextVar[str | None] = ContextVar("server", default=None)


def choose_server(url: str | None, command: str | None) -> None:
    """Takes `--server` from the command line.

    Raises:
        UserError: The command is not one that a service does.
    """
    if url is not None and command is not None and command in LOCAL:
        there = ", ".join(sorted(REMOTE | REMOTE_IF_NAMED))
        raise UserError(
            f"--server: {command} works on this machine: {LOCAL[command]}", f"a service does {there}"
        )
    _server.set(url)


def named_server() -> str | None:
    """The URL that `--server` names, or None."""
    return _server.get()


def service_client(home: Path | None, *, if_named: bool = False) -> "Client | None":
    """The client of the service that is meant; None: a home on this machine.

    A home that is named on the command line is meant, whatever the environment says.

    Args:
        home: That the command line names, or None.
        if_named: Only `--server` counts, not the environment.

    Raises:
        UserError: Both a service and a home are named, or the token's file cannot be read.
    """
    named = _server.get()
    if named and home is not None:
        raise UserError("got --server and --home", "name the one that has the sweep")
    url = named or (os.environ.get("MASKSWEEP_SERVER") if home is None and not if_named else None)
    if not url:
        return None
    from sweeps.client import Client  # noqa: PLC0415 - most commands need no HTTP

    return Client(url, secret(os.environ, "MASKSWEEP_TOKEN"))


def done_there(home: Path | None, act: "Callable[[Client], None]", *, if_named: bool = False) -> bool:
    """Whether a service was meant, which then did it.

    Args:
        home: That the command line names, or None.
        act: What the command does with the service's client.
        if_named: Only `--server` counts, not the environment.

    Raises:
        UserError: As `service_client`, or what `act` raises.
    """
    client = service_client(home, if_named=if_named)
    if client is None:
        return False
    act(client)
    return True
