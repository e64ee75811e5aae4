"""Fire times that were decided, as rows with their events."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.engine import Connection

from sweeps.schedules.nights import Decision, FiringState
from sweeps.store import sql
from sweeps.store.schedule_events import add_events, event_row
from sweeps.store.tables_night import firings

_PART = 500
"""Rows of one statement."""


def night_row(name: str, rule: Mapping[str, Any], decision: Decision, now: float) -> dict[str, Any]:
    """A row of `firings` for a fire time that is decided now.

    Args:
        name: Of the schedule.
        rule: Of the schedule, as its document: the night is called by its clocks, whatever comes later.
        decision: What becomes of the fire time.
        now: Seconds since the Unix epoch.
    """
    over = decision.state is FiringState.MISSED
    return {
        "schedule": name,
        "fire_at": decision.fire_at,
        "state": decision.state.value,
        "reason": decision.reason,
        "why": decision.why.value,
        "decided_at": now,
        "ended_at": now if over else None,
        "rule": dict(rule),
    }


def add_nights(connection: Connection, decided: list[dict[str, Any]], now: float, *, by: str) -> set[float]:
    """Adds nights, each with its event; those that are there stay.

    Args:
        connection: In a transaction that may write.
        decided: Rows of `night_row`.
        now: Seconds since the Unix epoch.
        by: Who decided.

    Returns:
        The fire times of the new ones.
    """
    made: set[float] = set()
    for start in range(0, len(decided), _PART):
        part = decided[start : start + _PART]
        new = sql.add_new_rows(connection, firings, part)
        events = []
        for row in part:
            if (row["schedule"], row["fire_at"]) in new:
                made.add(row["fire_at"])
                data = {"why": row["why"]} | ({"reason": row["reason"]} if row["reason"] else {})
                kind = f"night.{row['state'].lower()}"
                events.append(event_row(row["schedule"], kind, now, data, by=by, fire_at=row["fire_at"]))
        add_events(connection, events)
    return made
