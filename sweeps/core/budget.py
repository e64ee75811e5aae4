"""When a sweep has spent what it was given."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo


class Goal(StrEnum):
    """Which way an objective is better."""

    MAXIMIZE = "maximize"
    MINIMIZE = "minimize"

    def reached(self, value: float, target: float) -> bool:
        """Whether `value` is at least as good as `target`."""
        return value >= target if self is Goal.MAXIMIZE else value <= target


@dataclass(frozen=True, slots=True)
class Limits:
    """What a sweep may spend beside its number of trials. None means no limit.

    Attributes:
        gpu_s: Seconds of devices held by workers.
        wall_s: Seconds of a driver's life, over all epochs.
        deadline_at: Seconds since the Unix epoch.
        target: Metric name to (goal, value); reaching all of them ends the sweep.
    """

    gpu_s: float | None = None
    wall_s: float | None = None
    deadline_at: float | None = None
    target: Mapping[str, tuple[Goal, float]] | None = None


@dataclass(frozen=True, slots=True)
class Spent:
    """What a sweep has used up, in the units of `Limits`; `best` holds its best trial's metrics."""

    gpu_s: float
    wall_s: float
    best: Mapping[str, float]


def exhausted(limits: Limits, spent: Spent, now: float) -> str | None:
    """The reason for which the sweep must end, or None while it may go on."""
    if limits.target and all(
        name in spent.best and goal.reached(spent.best[name], value)
        for name, (goal, value) in limits.target.items()
    ):
        reached = ", ".join(f"{name} {spent.best[name]:.4g}" for name in limits.target)
        return f"target reached: {reached}"
    if limits.wall_s is not None and spent.wall_s >= limits.wall_s:
        return f"wall time of {limits.wall_s:.0f} s used up"
    if limits.gpu_s is not None and spent.gpu_s >= limits.gpu_s:
        return f"{limits.gpu_s / 3600:g} GPU-hours used up"
    if limits.deadline_at is not None and now >= limits.deadline_at:
        return "deadline passed"
    return None


def deadline_at(text: str, started_at: float) -> float:
    """The first moment after `started_at` at which a clock shows `text`.

    Args:
        text: `HH:MM Area/City`, as the spec has validated it.
        started_at: Seconds since the Unix epoch.

    Returns:
        Seconds since the Unix epoch. In the hour that a clock shows twice, the first one counts.
    """
    clock, _, zone_name = text.partition(" ")
    zone = ZoneInfo(zone_name or "UTC")
    hour, minute = (int(part) for part in clock.split(":"))
    start = datetime.fromtimestamp(started_at, zone)
    day = start.replace(hour=hour, minute=minute, second=0, microsecond=0, fold=0)
    while day.timestamp() <= started_at:
        day = (day.replace(tzinfo=None) + timedelta(days=1)).replace(tzinfo=zone)
    return day.timestamp()
