from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from sweeps.core.budget import (
    Goal,
    Limits,
    Spent,
    deadline_at,
    exhausted,
    gpu_limit_note,
    target_reached,
)

NOTHING = Spent(gpu_s=0, wall_s=0)


def test_no_limits_never_end_a_sweep():
    """A sweep without limits goes on whatever it has spent."""
    assert exhausted(Limits(), Spent(1e9, 1e9), now=1e12) is None


@pytest.mark.parametrize(
    ("limits", "spent", "reason"),
    [
        (Limits(wall_s=60), Spent(0, 60), "wall time of 1m used up"),
        (Limits(wall_s=60), Spent(0, 59.9), None),
        (Limits(gpu_s=7200), Spent(7200, 0), "2 GPU-hours used up"),
        (Limits(gpu_s=7200), Spent(7199, 0), None),
        (Limits(deadline_at=1000.0, deadline="07:00 UTC"), NOTHING, "deadline 07:00 UTC passed"),
        (Limits(deadline_at=1000.1), NOTHING, None),
    ],
)
def test_a_limit_ends_a_sweep_when_it_is_reached(limits, spent, reason):
    """Each limit ends the sweep exactly at its value, and says why."""
    stop = exhausted(limits, spent, now=1000.0)
    assert (stop and stop.reason) == reason


@pytest.mark.parametrize(
    ("target", "metrics", "reason"),
    [
        ({"segm/AP": (Goal.MAXIMIZE, 40)}, {"segm/AP": 40.0}, "target reached: segm/AP 40"),
        ({"segm/AP": (Goal.MAXIMIZE, 40)}, {"segm/AP": 39.9}, None),
        ({"segm/AP": (Goal.MAXIMIZE, 40)}, {}, None),
        ({"latency/ms_per_image": (Goal.MINIMIZE, 80)}, {"latency/ms_per_image": 81.0}, None),
        (None, {"segm/AP": 40.0}, None),
    ],
)
def test_a_target_is_reached_in_the_direction_of_its_goal(target, metrics, reason):
    """A trial's metrics reach the target at its value, and the reason says with what."""
    assert target_reached(Limits(target=target), metrics) == reason


def test_two_targets_must_both_be_reached():
    """One of two targets reached is not enough."""
    limits = Limits(target={"segm/AP": (Goal.MAXIMIZE, 40), "segm/APs": (Goal.MAXIMIZE, 20)})
    assert target_reached(limits, {"segm/AP": 41.0, "segm/APs": 19.0}) is None
    assert target_reached(limits, {"segm/AP": 41.0, "segm/APs": 20.0}) == (
        "target reached: segm/AP 41, segm/APs 20"
    )


def _berlin(*when: int) -> float:
    return datetime(*when, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()


@pytest.mark.parametrize(
    ("started", "deadline"),
    [
        ((2026, 11, 22, 22, 0), (2026, 11, 23, 7, 0)),
        ((2026, 11, 23, 6, 59), (2026, 11, 23, 7, 0)),
        ((2026, 11, 23, 7, 0), (2026, 11, 24, 7, 0)),
        ((2026, 3, 28, 22, 0), (2026, 3, 29, 7, 0)),  # an hour is missing in that night
        ((2026, 10, 24, 22, 0), (2026, 10, 25, 7, 0)),  # an hour comes twice
    ],
)
def test_a_deadline_is_the_next_time_the_clock_shows_it(started, deadline):
    """A deadline is read on the clock of its zone, through the changes of summer time too."""
    assert deadline_at("07:00 Europe/Berlin", _berlin(*started)) == _berlin(*deadline)


def test_gpu_hours_that_limit_nothing_are_told():
    """Where trials hold no GPU none of it is ever spent; where that is not known nothing is said."""
    told = gpu_limit_note("budget.gpu_hours", 8.0, 0.0, "budget.wall")
    assert told == (
        "budget.gpu_hours 8 limits nothing: trials run on the CPU and hold no GPU; give budget.wall instead"
    )
    for hours, gpus in ((None, 0.0), (8.0, 0.5), (8.0, None)):
        assert gpu_limit_note("budget.gpu_hours", hours, gpus, "budget.wall") is None
