"""Nights that are due while others are made up, or a sweep runs that is none of theirs, on both stores."""

import pytest

from sweeps.core.requests import RequestKind
from sweeps.core.states import SweepState
from sweeps.schedules.backfill import backfilled
from sweeps.schedules.nights import FiringState
from sweeps.schedules.rule import read_rule
from tests.contract.nights import World, curves_spec

OTHER = curves_spec(space={"solver.base_lr": {"low": 0.02, "high": 0.2}})


def replace(world: World, **fields) -> None:
    """Another spec under the schedule's name."""
    world.schedules.remove(world.name, by="ann", now=world.clock())
    rule = read_rule({"cron": "0 22 * * *", **fields})
    world.schedules.add(world.name, OTHER, rule, by="ann", now=world.clock())


@pytest.mark.parametrize("asked_by", ["backfill", "catch-up"])
def test_a_regular_night_cancels_one_night_that_is_made_up_and_not_all_of_them(world, asked_by):
    """It comes before those that still wait, which come after it, one after another."""
    world.name += asked_by
    if asked_by == "backfill":
        world.add(window="20h", overlap="cancel")
        asked = backfilled(world.schedules.get(world.name).rule, "2026-01-04", "2026-01-06", world.clock())
        world.firings.backfill(world.name, asked, by="bob", now=world.clock())
        world.tick("2026-01-07 12:01")
        first = "04"
    else:
        world.at("2026-01-04 12:00")
        world.add(window="20h", overlap="cancel", catch_up="all")
        world.tick("2026-01-07 12:01")
        first = "04"
    made_up = world.night(f"2026-01-{first} 22:00").sweep_id
    world.drive(made_up)
    world.tick("2026-01-07 22:00")
    assert [request.kind for request in world.service.open_requests(made_up)] == [RequestKind.CANCEL]
    world.obey(made_up)
    world.tick("2026-01-07 22:00:04")
    regular = world.night("2026-01-07 22:00")
    assert world.nights() == ["04 22:00 CLOSED", "05 22:00 QUEUED", "06 22:00 QUEUED", "07 22:00 RUNNING"]
    world.drive(regular.sweep_id)
    world.finish(regular.sweep_id)
    world.tick("2026-01-07 23:00")
    next_one = world.night("2026-01-05 22:00").sweep_id
    world.drive(next_one)
    world.tick("2026-01-07 23:00:02")
    assert world.nights()[1:3] == ["05 22:00 RUNNING", "06 22:00 QUEUED"]
    assert world.service.open_requests(next_one) == []


@pytest.mark.parametrize("overlap", ["skip", "queue", "cancel", "continue"])
def test_a_night_that_is_on_time_comes_before_those_that_are_made_up(world, overlap):
    """These have whole windows before them, whenever they begin; its own one passes."""
    world.name += overlap
    world.add(window="9h", overlap=overlap, catch_up="all")
    world.tick("2026-01-09 22:00:30")
    assert world.nights() == ["07 22:00 QUEUED", "08 22:00 QUEUED", "09 22:00 RUNNING"]


def test_continue_begins_a_new_sweep_where_the_one_that_runs_is_of_another_spec(world):
    """The schedule was replaced: its night waits for the old one's end, and begins what it was told to."""
    world.add(overlap="continue")
    world.tick("2026-01-07 22:00")
    old = world.night("2026-01-07 22:00").sweep_id
    world.drive(old)
    replace(world, overlap="continue")
    world.tick("2026-01-08 22:00")
    assert world.nights() == ["07 22:00 RUNNING", "08 22:00 QUEUED"]
    assert world.service.open_requests(old) == []
    world.finish(old)
    world.tick("2026-01-08 23:00")
    night = world.night("2026-01-08 22:00")
    assert (night.state, world.service.sweep(night.sweep_id).spec.space) == (FiringState.RUNNING, OTHER.space)


def assert_new_sweep_runs(world, old):
    """In the second night, which has waited for the first one's sweep."""
    night = world.night("2026-01-08 22:00")
    assert (night.state, night.sweep_id == old) == (FiringState.RUNNING, False)


def test_continue_waits_for_a_sweep_of_another_spec_that_somebody_let_go_on_by_day(world):
    """It runs without a night, and is not taken for this one's."""
    world.add(window="9h", overlap="continue")
    world.tick("2026-01-07 22:00")
    old = world.night("2026-01-07 22:00").sweep_id
    world.drive(old)
    world.tick("2026-01-08 07:00")
    world.obey(old)
    world.tick("2026-01-08 07:01")
    replace(world, window="9h", overlap="continue")
    world.control.resume(old, by="ann", now=world.clock())
    world.drive(old)
    world.tick("2026-01-08 22:00")
    assert world.nights() == ["07 22:00 CLOSED", "08 22:00 QUEUED"]
    world.finish(old)
    world.tick("2026-01-08 22:30")
    assert_new_sweep_runs(world, old)


def test_continue_gives_no_night_to_a_sweep_that_is_stopping(world):
    """It is about to end: the night waits for that, and begins a new one."""
    world.add(overlap="continue")
    world.tick("2026-01-07 22:00")
    old = world.night("2026-01-07 22:00").sweep_id
    claim = world.drive(old)
    world.service.finish(claim, SweepState.STOPPING, "all trials have ended", world.clock())
    world.tick("2026-01-08 22:00")
    assert world.nights() == ["07 22:00 RUNNING", "08 22:00 QUEUED"]
    world.finish(old)
    world.tick("2026-01-08 22:00:10")
    assert_new_sweep_runs(world, old)


@pytest.mark.parametrize(("month", "day"), [("03", 28), ("10", 24)])
@pytest.mark.parametrize("overlap", ["skip", "cancel"])
def test_a_window_of_a_whole_day_loses_no_night_when_clocks_are_set(world, month, day, overlap):
    """Its sweep pauses as the next night begins, after 23 hours or after 24, and goes on as that one's."""
    world.name += f"{month}{overlap}"
    world.at(f"2026-{month}-{day} 12:00")
    world.add(window="24h", timezone="Europe/Berlin", overlap=overlap)
    world.tick(f"2026-{month}-{day} 22:00")
    sweep_id = world.night(f"2026-{month}-{day} 22:00").sweep_id
    world.drive(sweep_id)
    if month == "10":
        world.tick(f"2026-{month}-{day + 1} 21:00")
        world.obey(sweep_id)
    world.tick(f"2026-{month}-{day + 1} 22:00:01")
    if month == "03":
        world.obey(sweep_id)
    world.tick(f"2026-{month}-{day + 1} 22:00:30")
    assert world.nights() == [f"{day} 22:00 CLOSED", f"{day + 1} 22:00 RUNNING"]
    assert world.state(sweep_id) is SweepState.PAUSED
    assert world.night(f"2026-{month}-{day + 1} 22:00").sweep_id == sweep_id
