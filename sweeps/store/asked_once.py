"""What was asked of a sweep under an idempotency key: written with what it did, in one transaction.

Whoever asks again after an answer was lost is then not refused for their own change, and undoes no later
one. The caller holds the sweep's row, so that of two requests under one key the second finds the first.
"""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sweeps.core.requests import Request
from sweeps.store.asked import find_request
from sweeps.store.tables import asked_once


@dataclass(frozen=True, slots=True)
class Once:
    """A request's key.

    Attributes:
        key: Chosen by who asks, and told apart from the same one of somebody else; None: there is none.
        verb: What is asked for: `pause`, `cancel` or `resume`.
    """

    key: str | None
    verb: str


@dataclass(frozen=True, slots=True)
class Before:
    """What was done under a key.

    Attributes:
        request: As it stands now; None if nothing had to be asked.
    """

    request: Request | None


def done_before(connection: Connection, sweep_id: str, once: Once) -> Before | None:
    """What was done to a sweep under that key, or None if nothing was."""
    if once.key is None:
        return None
    t = asked_once
    query = sa.select(t.c.request_id)
    query = query.where(t.c.sweep_id == sweep_id, t.c.key == once.key, t.c.verb == once.verb)
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    return Before(None if row.request_id is None else find_request(connection, row.request_id))


def remember(
    connection: Connection, sweep_id: str, once: Once, request: Request | None, *, by: str, now: float
) -> None:
    """Writes down that it was done, with the request that came of it if one did."""
    if once.key is None:
        return
    row = {
        "sweep_id": sweep_id,
        "key": once.key,
        "verb": once.verb,
        "request_id": None if request is None else request.request_id,
        "by": by,
        "at": now,
    }
    connection.execute(sa.insert(asked_once), row)
