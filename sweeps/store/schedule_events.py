"""What happened to schedules and to their nights, written in the transaction in which it happens."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sweeps.store.tables_night import schedule_events


@dataclass(frozen=True, slots=True)
class ScheduleEvent:
    """What happened to a schedule, or to one of its nights.

    Attributes:
        event_id: Ascending.
        schedule: Its name.
        fire_at: Of the night, or None: it happened to the schedule itself.
        at: When, in seconds since the Unix epoch.
        kind: Such as `schedule.added` or `night.started`.
        data: What else is to be known.
        by: Who did it.
    """

    event_id: int
    schedule: str
    fire_at: float | None
    at: float
    kind: str
    data: Mapping[str, Any]
    by: str | None


def add_event(
    connection: Connection,
    name: str,
    kind: str,
    now: float,
    data: Mapping[str, Any],
    *,
    by: str | None,
    fire_at: float | None = None,
) -> None:
    """Writes down what happened, in the transaction in which it happened."""
    add_events(connection, [event_row(name, kind, now, data, by=by, fire_at=fire_at)])


def add_events(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """The same for many, each a row of `event_row`."""
    if rows:
        connection.execute(sa.insert(schedule_events), list(map(dict, rows)))


def event_row(
    name: str, kind: str, now: float, data: Mapping[str, Any], *, by: str | None, fire_at: float | None = None
) -> dict[str, Any]:
    """A row of `schedule_events`."""
    return {"schedule": name, "fire_at": fire_at, "at": now, "kind": kind, "data": dict(data), "by": by}


def told_under_key(connection: Connection, name: str, kind: str, key: str | None) -> Mapping[str, Any] | None:
    """What the event of that kind says that a request under a key has left; None if it left none."""
    if key is None:
        return None
    t = schedule_events
    query = sa.select(t.c.data).where(t.c.schedule == name, t.c.kind == kind)
    digest = key_digest(key)
    return next((data for data in connection.execute(query).scalars() if data.get("key") == digest), None)


def key_digest(key: str) -> str:
    """A request's key as it stands in events, which more people read than made the request."""
    return hashlib.sha256(key.encode()).hexdigest()[:16]
