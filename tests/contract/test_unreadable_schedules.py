"""Schedules that a newer version has written: they fire no night, and are in nobody's way; on both stores."""

import json
import logging

import pytest
import sqlalchemy as sa

from sweeps.core.errors import UnreadableSchedule
from sweeps.core.spec import spec_document
from sweeps.schedules.nights import ScheduleState
from sweeps.store.engine import writing
from sweeps.store.firings import PAGE
from sweeps.store.schedule_totals import schedule_totals
from sweeps.store.tables_night import firings, schedule_events, schedules
from tests.contract.nights import World, curves_spec

NEWER = {"cron": "0 22 * * *", "gpu_hours": 1.0, "of_a_newer_version": 1}


def spoil(world: World, **columns) -> None:
    """Changes the schedule's row into what a newer version would have written."""
    with writing(world.engine) as connection:
        mine = schedules.c.name == world.name
        connection.execute(sa.update(schedules).where(mine).values(**(columns or {"rule": NEWER})))


@pytest.fixture(autouse=True)
def leaves_none(world):
    """The store is the module's: each test leaves it as it was."""
    yield
    with writing(world.engine) as connection:
        for table in (schedule_events, firings):
            connection.execute(sa.delete(table))
        connection.execute(sa.delete(schedules))


def passed_over(caplog) -> list[logging.LogRecord]:
    return [each for each in caplog.records if "is passed over" in each.getMessage()]


def test_a_page_of_schedules_that_cannot_be_read_starves_no_other(world):
    """They come before it by their time, and stay due."""
    schedule = world.add()
    spec = json.loads(spec_document(curves_spec()))
    row = {
        "state": "ACTIVE",
        "spec": spec,
        "rule": NEWER,
        "revision": 1,
        "created_by": "z",
        "created_at": 0.0,
    }
    at = {"next_at": schedule.next_at - 60.0, "due_at": schedule.next_at - 60.0}
    with writing(world.engine) as connection:
        connection.execute(
            sa.insert(schedules), [{"name": f"newer-{number}", **row, **at} for number in range(PAGE + 1)]
        )
    world.tick("2026-01-07 22:00")
    assert world.nights() == ["07 22:00 RUNNING"]
    world.tick("2026-01-08 22:00")
    assert world.nights() == ["07 22:00 RUNNING", "08 22:00 SKIPPED"]


def test_what_cannot_be_read_is_no_lag(world):
    """Its time never comes in this version: the numbers of the others are told."""
    world.add()
    spoil(world)
    assert schedule_totals(world.engine, world.moment("2026-01-09 22:00")).lag_s == 0.0
    world.name += "_other"
    world.add()
    assert schedule_totals(world.engine, world.moment("2026-01-07 22:00:30")).lag_s == 30.0
    world.tick("2026-01-07 22:00:30")
    assert schedule_totals(world.engine, world.moment("2026-01-08 21:00")).lag_s == 0.0


def test_a_night_that_waits_for_a_schedule_that_cannot_be_read_is_no_lag_and_is_told_once(world, caplog):
    """Not with each tick, and with no traceback: nobody has to mend this version."""
    world.add()
    world.at("2026-01-07 22:00")
    world.firings.fire(world.clock(), by="another")
    spoil(world, spec={"of_a_newer_version": 1})
    for second in range(3):
        world.tick(f"2026-01-07 22:00:{second:02}")
    assert world.nights() == ["07 22:00 DUE"]
    assert schedule_totals(world.engine, world.clock() + 3600.0).lag_s == 0.0
    (told,) = passed_over(caplog)
    assert told.exc_info is None
    assert "of_a_newer_version" in told.getMessage()


def test_a_schedule_that_cannot_be_read_is_removed_and_its_name_taken_again(world):
    """Nobody has to run the newer version to be rid of it; its nights that wait are skipped."""
    world.add()
    world.at("2026-01-07 22:00")
    world.firings.fire(world.clock(), by="another")
    spoil(world)
    with pytest.raises(UnreadableSchedule) as refused:
        world.add("0 23 * * *")
    assert "masksweep schedule rm" in refused.value.hint
    for _ in range(2):
        removed = world.schedules.remove(world.name, by="bob", now=world.clock())
        assert isinstance(removed, UnreadableSchedule)
    assert world.kinds().count("schedule.removed") == 1
    assert world.nights() == ["07 22:00 SKIPPED"]
    assert world.schedules.listed().unreadable == []
    assert world.add("0 23 * * *").state is ScheduleState.ACTIVE
    world.tick("2026-01-07 23:00")
    assert world.nights() == ["07 22:00 SKIPPED", "07 23:00 RUNNING"]


def test_a_state_that_is_not_known_makes_a_schedule_unreadable(world):
    """It is listed among those, and holds up no other."""
    world.add()
    spoil(world, state="SLEEPING")
    world.name += "_other"
    world.add()
    listed = world.schedules.listed()
    assert [each.name for each in listed.schedules] == [world.name]
    assert len(listed.unreadable) == 1


@pytest.mark.parametrize("limit", ["window", "gpu_hours"])
def test_a_night_whose_rule_cannot_be_read_closes_as_any_other(world, limit):
    """It began under a newer version, which knows more: its window and its GPU-hours are these still."""
    world.name += limit
    world.add(window="9h", gpu_hours=1.0)
    world.tick("2026-01-07 22:00")
    night = world.night("2026-01-07 22:00")
    with writing(world.engine) as connection:
        mine = firings.c.schedule == world.name
        connection.execute(sa.update(firings).where(mine).values(rule=NEWER))
    spoil(world)
    world.drive(night.sweep_id)
    world.train(night.sweep_id, 0, 3600.0 if limit == "gpu_hours" else 60.0)
    world.tick("2026-01-08 06:59")
    assert len(world.service.open_requests(night.sweep_id)) == (limit == "gpu_hours")
    world.tick("2026-01-08 07:00")
    world.obey(night.sweep_id)
    world.tick("2026-01-08 07:01")
    closed = world.night("2026-01-07 22:00")
    assert (str(closed.state), closed.reason) == (
        "CLOSED",
        "the night's window has closed",
    )


def test_a_night_of_a_schedule_that_cannot_be_read_is_closed_with_its_sweep(world):
    """Whoever replaced the rule by a newer one changes later nights alone."""
    world.add()
    world.tick("2026-01-07 22:00")
    sweep_id = world.night("2026-01-07 22:00").sweep_id
    spoil(world)
    world.drive(sweep_id)
    world.finish(sweep_id)
    world.tick("2026-01-08 01:00")
    assert world.nights() == ["07 22:00 CLOSED"]
