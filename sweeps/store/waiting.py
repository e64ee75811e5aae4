"""Sweeps that wait for a driver which a service starts."""

from dataclasses import dataclass

from sqlalchemy.engine import Connection

from sweeps.store import submissions


@dataclass(frozen=True, slots=True)
class Rank:
    """Where a sweep stands among those that wait.

    Attributes:
        priority: -1000 to 1000; higher ones first.
        weight: Above 0, up to 1000; its share among those of its priority.
    """

    priority: int = 0
    weight: float = 1.0


def hand_over(connection: Connection, sweep_id: str, *, by: str, now: float, rank: Rank) -> None:
    """Lets a sweep wait for a driver. A second time it changes nothing."""
    submissions.submit(connection, sweep_id, by=by, now=now, priority=rank.priority, weight=rank.weight)


def go_on(connection: Connection, sweep_id: str, *, by: str, now: float) -> None:
    """Lets a sweep that was paused wait for a driver again."""
    hand_over(connection, sweep_id, by=by, now=now, rank=Rank())
    submissions.resume(connection, sweep_id, by=by, now=now)
