"""The address of a running Ray cluster: its form, and whether one may be listening there."""

import os
import re
import socket

from sweeps.core.errors import UserError

PROBE_S = 5.0
"""How long a host may take to answer; Ray itself would wait for minutes without a word."""

_ADDRESS = re.compile(r"(?:ray://)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]@]+):(?P<port>[0-9]{1,5})/?")
_FORMS = "write HOST:PORT, ray://HOST:PORT or auto"
_START = "start one with: ray start --head"


def probe(address: str) -> None:
    """Checks that a cluster may be joined at an address: `HOST:PORT`, `ray://HOST:PORT` or `auto`.

    Raises:
        UserError: It has another form, or what listens there, if anything, is no cluster.
    """
    found = _running() if address == "auto" else address
    if found is None:  # this Ray cannot be asked; joining will tell
        return
    host, port = _host_and_port(found)
    try:
        with socket.create_connection((host, port), timeout=PROBE_S) as connection:
            speaks = _speaks_http2(connection)
    except (OSError, UnicodeError) as error:
        reason = "no name of a host" if isinstance(error, UnicodeError) else error.strerror or str(error)
        raise UserError(f"no Ray cluster answers at {found}: {reason}", _START) from error
    if not speaks and os.environ.get("RAY_USE_TLS") != "1":
        hint = "clusters listen at port 6379, for ray:// at 10001; 8265 is the dashboard's"
        raise UserError(f"what answers at {found} is no Ray cluster", hint)


def _speaks_http2(connection: socket.socket) -> bool:
    """Whether the other side begins as every gRPC server does, with a SETTINGS frame (RFC 9113, 3.4 and 6.5).

    A web server, or the dashboard, would have Ray wait for minutes.
    """
    connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
    head = b""
    while len(head) < 4 and (part := connection.recv(4 - len(head))):
        head += part
    return head[3:] == b"\4"


def _host_and_port(address: str) -> tuple[str, int]:
    match = _ADDRESS.fullmatch(address)
    if match is None or not 0 < int(match["port"]) < 65536:
        hint = "leave --ray-address out to start Ray here" if address in ("", "local") else _FORMS
        raise UserError(f"{address!r} is not the address of a Ray cluster", hint)
    return match["host"].strip("[]"), int(match["port"])


def _running() -> str | None:
    """The cluster that Ray means by `auto`, or None if there is no way to ask.

    Raises:
        UserError: There is none.
    """
    if named := os.environ.get("RAY_ADDRESS"):
        return named
    try:
        from ray._private.services import get_ray_address_from_environment  # noqa: PLC0415 - imports Ray
    except ImportError:  # not Ray's public interface
        return None
    try:
        return str(get_ray_address_from_environment("auto", None))
    except ConnectionError as error:
        raise UserError("no Ray cluster runs on this machine", _START) from error
    except Exception:  # as above
        return None
