"""Sweeps that wait for a driver which a service starts, as far as this installation has such a part."""

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from sqlalchemy.engine import Connection

from sweeps.core.errors import MissingExtra

_MODULE = "sweeps.store.submissions"


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
    module = _submissions()
    if module is not None:  # else it waits, PENDING, until somebody resumes it by hand
        module.submit(connection, sweep_id, by=by, now=now, priority=rank.priority, weight=rank.weight)


def go_on(connection: Connection, sweep_id: str, *, by: str, now: float) -> None:
    """Lets a sweep that was paused wait for a driver again.

    Raises:
        MissingExtra: Nobody starts drivers here.
    """
    module = _submissions()
    if module is None:
        raise MissingExtra(
            "no supervisor is installed that would start a driver",
            f"to drive it by hand: masksweep resume {sweep_id}",
        )
    hand_over(connection, sweep_id, by=by, now=now, rank=Rank())
    module.resume(connection, sweep_id, by=by, now=now)


def _submissions() -> Any:
    return import_module(_MODULE) if find_spec(_MODULE) is not None else None
