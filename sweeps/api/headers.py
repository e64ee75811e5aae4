"""The headers of answers, as the OpenAPI document describes them."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

HEADERS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "ETag": {
            "description": "For `If-Match` and `If-None-Match`: what the sweep is now.",
            "schema": {"type": "string"},
            "example": '"0123456789abcdef0123"',
        },
        "Location": {
            "description": "The path of what was made.",
            "schema": {"type": "string"},
            "example": "/api/v1/sweeps/parts-nightly-a2b3c4",
        },
        "Idempotency-Replayed": {
            "description": "There where this is what was answered before under the `Idempotency-Key`.",
            "schema": {"type": "string", "const": "true"},
            "example": "true",
        },
        "Retry-After": {
            "description": "Seconds after which to ask again.",
            "schema": {"type": "string", "pattern": "^[0-9]+$"},
            "example": "5",
        },
        "WWW-Authenticate": {
            "description": "How to show a token.",
            "schema": {"type": "string", "const": "Bearer"},
            "example": "Bearer",
        },
    }
)
"""What answers carry beside what every answer does."""

_NOT_KEPT = frozenset({"/api/v1/plan", "/api/v1/tokens"})
"""What is not answered as before under a key: a plan is made anew, a token's text is shown once."""


def described(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Some headers for an answer in the OpenAPI document."""
    return {name: dict(HEADERS[name]) for name in names}


def of_success(path: str, status: str, taken: Iterable[str]) -> list[str]:
    """The names of the headers of an answer that is no error.

    Args:
        path: Of the operation.
        status: Of the answer.
        taken: The names of the operation's parameters.
    """
    taken, names = frozenset(taken), list[str]()
    if (path == "/api/v1/sweeps" and status == "201") or taken & {"If-Match", "If-None-Match"}:
        names.append("ETag")
    if status == "201" and path != "/api/v1/tokens":  # one token is not looked at by a path of its own
        names.append("Location")
    if "Idempotency-Key" in taken and path not in _NOT_KEPT:
        names.append("Idempotency-Replayed")
    return names
