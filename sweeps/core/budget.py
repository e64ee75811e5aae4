"""When a sweep has spent what it was given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from sweeps.core.spec import Budget, SweepSpec
from sweeps.core.spec_fields import duration
from sweeps.core.stops import Limit, Stop


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
        deadline: The same as the spec has it.
        target: Metric name to (goal, value); reaching all of them ends the sweep.
        no_improvement: Trials that may end without a better one.
    """

    gpu_s: float | None = None
    wall_s: float | None = None
    deadline_at: float | None = None
    deadline: str = ""
    target: Mapping[str, tuple[Goal, float]] | None = None
    no_improvement: int | None = None


@dataclass(frozen=True, slots=True)
class Spent:
    """What a sweep has used up, in the units of `Limits`."""

    gpu_s: float
    wall_s: float


def gpu_limit_note(name: str, hours: float | None, gpus: float | None, instead: str) -> str | None:
    """What to tell of a limit in GPU-hours where trials hold no GPU, so that it is never reached; else None.

    Args:
        name: What the limit is called where it was given.
        hours: The limit, or None.
        gpus: Share of a GPU that a trial holds; 0: it trains on the CPU; None: that is not known.
        instead: What limits such trials.
    """
    if hours is None or gpus is None or gpus > 0:
        return None
    return f"{name} {hours:g} limits nothing: trials run on the CPU and hold no GPU; give {instead} instead"


BUDGET_INSTEAD = "budget.wall or budget.deadline"
"""What limits the time of a sweep whose trials hold no GPU."""


def target_reached(limits: Limits, metrics: Mapping[str, float]) -> str | None:
    """The reason to end a sweep in which a trial has these metrics, or None if they miss the target."""
    if not limits.target or not all(
        name in metrics and goal.reached(metrics[name], value)
        for name, (goal, value) in limits.target.items()
    ):
        return None
    return "target reached: " + ", ".join(f"{name} {metrics[name]:.4g}" for name in limits.target)


def exhausted(limits: Limits, spent: Spent, now: float) -> Stop | None:
    """Why the sweep must end, or None while it may go on; what trials achieve aside."""
    if limits.wall_s is not None and spent.wall_s >= limits.wall_s:
        return Stop(f"wall time of {duration(limits.wall_s)} used up", Limit.WALL)
    if limits.gpu_s is not None and spent.gpu_s >= limits.gpu_s:
        return Stop(f"{limits.gpu_s / 3600:g} GPU-hours used up", Limit.GPU_HOURS)
    if limits.deadline_at is not None and now >= limits.deadline_at:
        return Stop(f"deadline {limits.deadline} passed", Limit.DEADLINE)
    return None


def limits_of(budget: Budget, objectives: Sequence[tuple[str, Goal]], deadline_at: float | None) -> Limits:
    """A budget's limits; the moment of its deadline is in the sweep's row."""
    goals = dict(objectives)
    return Limits(
        gpu_s=None if budget.gpu_hours is None else budget.gpu_hours * 3600,
        wall_s=budget.wall_s,
        deadline_at=deadline_at,
        deadline=budget.deadline or "",
        target={name: (goals[name], value) for name, value in budget.target.items()} or None,
        no_improvement=budget.no_improvement,
    )


def limits_from(spec: SweepSpec, started_at: float) -> Limits:
    """The limits of a sweep that starts then (seconds since the Unix epoch)."""
    budget = spec.budget
    deadline = None if budget.deadline is None else deadline_at(budget.deadline, started_at)
    return limits_of(budget, [(o.metric, Goal(o.goal)) for o in spec.objectives], deadline)


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
