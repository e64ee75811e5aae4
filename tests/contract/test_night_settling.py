"""Fire times that came before their schedule was paused or removed are decided, on both stores."""

import pytest

from sweeps.schedules.nights import FiringState, Why


@pytest.mark.parametrize("change", ["pause", "remove"])
def test_what_was_due_before_a_schedule_stops_is_decided(world, change):
    """Nothing ticked in between: by its rule the last night would be made up, and is now skipped with why."""
    world.name += change
    world.add(window="9h", catch_up="latest")
    world.at("2026-01-09 23:00")
    getattr(world.schedules, change)(world.name, by="bob", now=world.clock())
    world.tick("2026-01-09 23:00:02")
    assert world.nights() == ["07 22:00 MISSED", "08 22:00 MISSED", "09 22:00 SKIPPED"]
    night = world.night("2026-01-09 22:00")
    told = {"pause": "PAUSED", "remove": "REMOVED"}[change]
    assert (night.why, night.reason) == (Why.CATCH_UP, f"the schedule is {told}")
    before = world.kinds()
    world.tick("2026-01-09 23:01")
    assert world.kinds() == before


def test_a_night_that_came_before_a_short_pause_takes_place(world):
    """Nobody ticked between its time, the pause and the resumption."""
    world.add(window="9h")
    world.at("2026-01-07 22:00:01")
    world.schedules.pause(world.name, by="bob", now=world.clock())
    world.schedules.resume(world.name, by="bob", now=world.clock())
    world.tick("2026-01-07 22:00:02")
    night = world.night("2026-01-07 22:00")
    assert (night.state, night.why) == (FiringState.RUNNING, Why.TIME)


def test_a_night_whose_delay_has_not_passed_when_the_schedule_is_paused_is_skipped(world):
    """Its time has come, whatever its jitter is."""
    schedule = world.add(jitter="10m")
    world.clock.now = schedule.due_at - 0.5
    world.schedules.pause(world.name, by="bob", now=world.clock())
    world.tick()
    night = world.night("2026-01-07 22:00")
    assert (night.state, night.why) == (FiringState.SKIPPED, Why.TIME)


def test_a_schedule_that_is_replaced_keeps_what_was_due_under_its_old_rule(world):
    """Removed and added again in between two ticks: the night that came has its row."""
    world.add("0 22 * * *")
    world.at("2026-01-07 22:00:01")
    world.schedules.remove(world.name, by="bob", now=world.clock())
    world.add("0 23 * * *")
    world.tick("2026-01-07 23:00")
    assert world.nights() == ["07 22:00 SKIPPED", "07 23:00 RUNNING"]


def test_a_pause_decides_no_night_twice(world):
    """What was decided before stays what it is."""
    world.add("0 * * * *", catch_up="latest")
    world.tick("2026-01-07 14:00:01")
    world.at("2026-01-07 15:30")
    world.schedules.pause(world.name, by="bob", now=world.clock())
    assert world.nights() == ["07 13:00 MISSED", "07 14:00 RUNNING", "07 15:00 DUE"]
