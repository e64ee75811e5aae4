"""Schedules and their nights, on SQLite and on a real PostgreSQL."""

import pytest
import sqlalchemy as sa

from sweeps.core.errors import UnknownSchedule, UnreadableSchedule, WrongState
from sweeps.core.requests import RequestKind
from sweeps.core.states import SweepState
from sweeps.schedules.nights import FiringState, Why
from sweeps.schedules.rule import read_rule
from sweeps.store.champions import Champions
from sweeps.store.tables_night import schedule_events, schedules
from sweeps.testing import make_spec
from tests.contract.nights import curves_spec


def test_a_night_begins_at_its_time_and_closes_with_its_sweep(world):
    """One sweep, submitted under the schedule's rank; events say who did what."""
    world.add(priority=3, weight=2.0)
    world.tick("2026-01-07 21:59:59")
    assert world.nights() == []
    world.tick("2026-01-07 22:00:01")
    night = world.night("2026-01-07 22:00")
    assert (night.state, night.why) == (FiringState.RUNNING, Why.TIME)
    assert (night.ends_at, night.gpu_s_before) == (None, 0.0)
    world.drive(night.sweep_id)
    world.tick("2026-01-08 03:00")
    world.finish(night.sweep_id)
    world.tick("2026-01-08 03:01")
    night = world.night("2026-01-07 22:00")
    assert (night.state, night.ended_at) == (FiringState.CLOSED, world.moment("2026-01-08 03:01"))
    assert night.reason == "the sweep is COMPLETED: all trials have ended"
    assert world.kinds() == ["schedule.added", "night.due", "night.started", "night.closed"]
    assert {event.by.partition("@")[0] for event in world.schedules.events(world.name)} == {
        "ann",
        "masksweep-scheduler",
    }


def test_at_the_windows_end_the_sweep_pauses_and_the_next_night_goes_on(world):
    """No supervisor starts it in between; the third night finds it ended, and begins a new one, warm."""
    world.add(window="9h")
    world.tick("2026-01-07 22:00")
    first = world.night("2026-01-07 22:00")
    assert first.ends_at == world.moment("2026-01-08 07:00")
    world.drive(first.sweep_id)
    world.at("2026-01-08 06:59")
    world.train(first.sweep_id, 0, 100.0)
    world.tick("2026-01-08 07:00")
    assert world.state(first.sweep_id) is SweepState.RUNNING
    assert world.night("2026-01-07 22:00").state is FiringState.RUNNING  # a worker evaluates
    world.obey(first.sweep_id)
    world.tick("2026-01-08 07:10")
    closed = world.night("2026-01-07 22:00")
    assert (closed.state, closed.reason) == (FiringState.CLOSED, "the night's window has closed")
    assert world.held_by(first.sweep_id) == f"masksweep-scheduler/{world.name}"
    world.tick("2026-01-08 22:00")
    second = world.night("2026-01-08 22:00")
    assert (second.sweep_id, second.gpu_s_before) == (first.sweep_id, 100.0)
    world.drive(first.sweep_id)
    world.finish(first.sweep_id)
    world.tick("2026-01-08 23:00")
    world.tick("2026-01-09 22:00")
    third = world.night("2026-01-09 22:00")
    assert third.sweep_id != first.sweep_id
    assert world.service.warm_summary(third.sweep_id).sources == (first.sweep_id,)
    seeds = {world.service.sweep(each.sweep_id).spec.sampler.seed for each in (first, third)}
    assert len(seeds) == 2  # else a night that learns nothing would try the same again


def test_a_window_that_closes_before_a_driver_came_holds_the_sweep(world):
    """It waited for the pool all night: it is not started by day, and goes on waiting the next night."""
    world.add(window="1h")
    world.tick("2026-01-07 22:00")
    night = world.night("2026-01-07 22:00")
    world.tick("2026-01-07 23:00")
    assert world.nights() == ["07 22:00 CLOSED"]
    assert world.held_by(night.sweep_id) is not None
    *_, event = world.service.events(night.sweep_id)
    assert (event.kind, event.by) == ("sweep.held", f"masksweep-scheduler/{world.name}")
    world.tick("2026-01-08 22:00")
    assert world.night("2026-01-08 22:00").sweep_id == night.sweep_id
    assert world.held_by(night.sweep_id) is None


def test_gpu_hours_of_a_night_pause_it(world):
    """Those that it has held itself, not those of the nights before it."""
    world.add(gpu_hours=1)
    for day in (7, 8):
        world.tick(f"2026-01-{day:02} 22:00")
        night = world.night(f"2026-01-{day:02} 22:00")
        world.drive(night.sweep_id)
        world.train(night.sweep_id, day, 3000.0)
        world.tick(f"2026-01-{day:02} 22:50")
        assert world.service.open_requests(night.sweep_id) == []
        world.train(night.sweep_id, day + 10, 600.0)
        world.tick(f"2026-01-{day:02} 23:00")
        world.obey(night.sweep_id)
        world.tick(f"2026-01-{day:02} 23:01")
        assert world.night(f"2026-01-{day:02} 22:00").reason == "the night's 1 GPU-hours are used up"


def overrun(world, overlap: str, window: str = "30h") -> str:
    """A night that still runs at the next fire time; its sweep."""
    world.add(window=window, overlap=overlap)
    world.tick("2026-01-07 22:00")
    sweep_id = world.night("2026-01-07 22:00").sweep_id
    world.drive(sweep_id)
    world.tick("2026-01-08 07:00")
    world.tick("2026-01-08 22:00")
    return sweep_id


def test_overlap_skip(world):
    """The next night does not take place, and says why."""
    sweep_id = overrun(world, "skip")
    night = world.night("2026-01-08 22:00")
    assert world.nights() == ["07 22:00 RUNNING", "08 22:00 SKIPPED"]
    assert night.reason == f"the night of 2026-01-07 22:00 UTC (sweep {sweep_id}) still runs"


def test_overlap_queue(world):
    """The next night waits until the other has paused, and goes on with its sweep, within its own window."""
    sweep_id = overrun(world, "queue", "9h")
    world.tick("2026-01-08 22:01")
    assert world.nights() == ["07 22:00 RUNNING", "08 22:00 QUEUED"]
    world.obey(sweep_id)
    world.tick("2026-01-08 22:30")
    night = world.night("2026-01-08 22:00")
    assert world.nights() == ["07 22:00 CLOSED", "08 22:00 RUNNING"]
    assert (night.sweep_id, night.ends_at) == (sweep_id, world.moment("2026-01-09 07:00"))
    assert world.held_by(sweep_id) is None


def test_a_queued_night_whose_window_passes_is_missed(world):
    """It never began."""
    overrun(world, "queue", "9h")
    world.tick("2026-01-09 07:00")
    night = world.night("2026-01-08 22:00")
    assert (night.state, night.reason) == (FiringState.MISSED, "its window has passed before it could begin")


def test_overlap_cancel(world):
    """The other sweep is cancelled, and a new one begins."""
    sweep_id = overrun(world, "cancel")
    world.tick("2026-01-08 22:00:02")
    assert world.nights() == ["07 22:00 RUNNING", "08 22:00 QUEUED"]
    assert [request.kind for request in world.service.open_requests(sweep_id)] == [RequestKind.CANCEL]
    world.obey(sweep_id)
    world.tick("2026-01-08 22:00:04")
    assert world.state(sweep_id) is SweepState.CANCELLED
    assert world.nights() == ["07 22:00 CLOSED", "08 22:00 RUNNING"]
    assert world.night("2026-01-08 22:00").sweep_id != sweep_id


def test_overlap_continue(world):
    """The same sweep is the next night's, and is judged as that one's."""
    sweep_id = overrun(world, "continue")
    assert world.nights() == ["07 22:00 CLOSED", "08 22:00 RUNNING"]
    assert world.night("2026-01-08 22:00").sweep_id == sweep_id
    assert world.service.open_requests(sweep_id) == []
    world.at("2026-01-10 04:00")
    world.tick()
    world.obey(sweep_id)
    world.tick("2026-01-10 04:01")
    assert world.night("2026-01-08 22:00").state is FiringState.CLOSED


@pytest.mark.parametrize("overlap", ["skip", "queue", "cancel", "continue"])
def test_a_window_as_long_as_the_period_loses_no_night(world, overlap):
    """The night that is over at the next one's time pauses; that one waits for it, and goes on."""
    world.name = f"as_long_{overlap}"  # the store is the module's
    world.add("0 * * * *", window="1h", overlap=overlap)
    world.tick("2026-01-07 13:00")
    sweep_id = world.night("2026-01-07 13:00").sweep_id
    for hour in (14, 15, 16):
        world.drive(sweep_id)
        world.tick(f"2026-01-07 {hour}:00:01")
        assert world.nights()[-2:] == [f"07 {hour - 1}:00 RUNNING", f"07 {hour}:00 QUEUED"]
        night = Champions(world.engine).night_of(sweep_id)
        assert night is not None
        assert (night.fire_at, night.closed) == (world.moment(f"2026-01-07 {hour - 1}:00"), True)
        world.obey(sweep_id)
        world.tick(f"2026-01-07 {hour}:00:30")
        assert world.nights()[-2:] == [f"07 {hour - 1}:00 CLOSED", f"07 {hour}:00 RUNNING"]
        assert world.night(f"2026-01-07 {hour}:00").sweep_id == sweep_id


def test_a_pause_that_was_asked_for_the_night_before_does_not_close_the_next_one(world):
    """Its driver judges a night that is over, not the one that has just begun."""
    sweep_id = overrun(world, "continue")
    night = world.night("2026-01-08 22:00")
    by = f"masksweep-scheduler/{world.name}"
    world.control.ask(sweep_id, RequestKind.PAUSE, by=by, now=night.started_at - 1.0)
    assert not Champions(world.engine).night_of(sweep_id).closed


@pytest.mark.parametrize("by", ["ann", "masksweep-supervisor@host"])
def test_what_a_person_paused_waits_for_a_person(world, by):
    """The next night is SKIPPED; what the supervisor paused for the pool's sake goes on."""
    world.name += by[:3]
    world.add(window="9h")
    world.tick("2026-01-07 22:00")
    sweep_id = world.night("2026-01-07 22:00").sweep_id
    world.drive(sweep_id)
    world.control.ask(sweep_id, RequestKind.PAUSE, by=by, now=world.clock(), holds=by == "ann")
    world.obey(sweep_id)
    world.tick("2026-01-08 07:00")
    world.tick("2026-01-08 22:00")
    night = world.night("2026-01-08 22:00")
    if by == "ann":
        first = world.night("2026-01-07 22:00")
        assert first.reason == "the night's window has closed, and ann had paused it"
        assert (night.state, night.reason) == (
            FiringState.SKIPPED,
            f"ann has paused sweep {sweep_id}, which would go on",
        )
    else:
        assert (night.state, night.sweep_id) == (FiringState.RUNNING, sweep_id)


def test_a_persons_pause_that_is_still_open_when_the_window_closes_stays_that_persons(world):
    """The driver carries it out later; the next night finds who paused it."""
    world.add(window="9h")
    world.tick("2026-01-07 22:00")
    sweep_id = world.night("2026-01-07 22:00").sweep_id
    world.drive(sweep_id)
    world.tick("2026-01-08 06:59:50")
    world.control.ask(sweep_id, RequestKind.PAUSE, by="ann", now=world.clock())
    world.tick("2026-01-08 07:00")
    world.obey(sweep_id)
    world.tick("2026-01-08 07:01")
    assert world.nights() == ["07 22:00 CLOSED"]
    assert world.held_by(sweep_id) == "ann"


def test_a_sweep_of_another_spec_does_not_go_on(world):
    """The schedule was added again, with another space: the next night begins anew."""
    world.add(window="9h")
    world.tick("2026-01-07 22:00")
    first = world.night("2026-01-07 22:00").sweep_id
    world.drive(first)
    world.tick("2026-01-08 07:00")
    world.obey(first)
    world.tick("2026-01-08 07:01")
    world.schedules.remove(world.name, by="ann", now=world.clock())
    spec = curves_spec(space={"solver.base_lr": {"low": 0.02, "high": 0.2}})
    rule = read_rule({"cron": "0 22 * * *"})
    world.schedules.add(world.name, spec, rule, by="ann", now=world.clock())
    world.tick("2026-01-08 22:00")
    night = world.night("2026-01-08 22:00")
    assert (night.state, night.sweep_id != first) == (FiringState.RUNNING, True)
    assert world.state(first) is SweepState.PAUSED


def test_a_night_starts_cold_if_the_schedule_says_so(world):
    """It takes over nothing of the night before."""
    world.add(warm_start=False)
    for day in (7, 8):
        world.tick(f"2026-01-{day:02} 22:00")
        sweep_id = world.night(f"2026-01-{day:02} 22:00").sweep_id
        world.drive(sweep_id)
        world.finish(sweep_id)
        world.tick(f"2026-01-{day:02} 23:00")
    assert world.service.warm_summary(sweep_id) is None
    assert world.service.sweep(sweep_id).spec.warm_start is None


DOWN = {
    ("skip", 0): ["07 22:00 RUNNING"],
    ("skip", 1): ["07 22:00 MISSED"],
    ("skip", 3): ["07 22:00 MISSED", "08 22:00 MISSED", "09 22:00 MISSED"],
    ("latest", 0): ["07 22:00 RUNNING"],
    ("latest", 1): ["07 22:00 RUNNING"],
    ("latest", 3): ["07 22:00 MISSED", "08 22:00 MISSED", "09 22:00 RUNNING"],
    ("all", 0): ["07 22:00 RUNNING"],
    ("all", 1): ["07 22:00 RUNNING"],
    ("all", 3): ["07 22:00 MISSED", "08 22:00 RUNNING", "09 22:00 QUEUED"],
}


@pytest.mark.parametrize(("policy", "missed"), list(DOWN))
def test_nights_that_passed_while_no_service_ran(world, policy, missed):
    """Down across 0, 1 and 3 fire times, up again an hour after the last; none is lost, each has a reason."""
    world.name += f"{policy}{missed}"
    world.add(window="9h", catch_up=policy, catch_up_limit=2)
    world.tick("2026-01-07 21:00")
    day = 7 + max(missed - 1, 0)
    world.tick(f"2026-01-{day:02} {'22:00:59' if missed == 0 else '23:00'}")
    assert world.nights() == DOWN[policy, missed]
    for night in world.firings.of(world.name):
        if night.state is FiringState.MISSED:
            assert night.reason.startswith("no service ran at its time, and ")
        elif night.state is FiringState.RUNNING:
            start = world.clock() if policy == "all" and missed else night.fire_at
            assert night.ends_at == start + 9 * 3600.0
    before = world.nights()
    world.tick()
    assert world.nights() == before


def test_a_night_whose_window_has_passed_is_not_made_up_by_latest(world):
    """The service comes back at nine in the morning."""
    world.add(window="9h", catch_up="latest")
    world.tick("2026-01-08 09:00")
    assert world.nights() == ["07 22:00 MISSED"]
    assert world.night("2026-01-07 22:00").reason == "no service ran at its time, and its window has passed"


def test_nights_that_are_made_up_come_one_after_another(world):
    """Each with a whole window, whatever the overlap policy says of nights that are on time."""
    world.add(window="2h", catch_up="all", catch_up_limit=5)
    world.tick("2026-01-09 12:00")
    assert world.nights() == ["07 22:00 RUNNING", "08 22:00 QUEUED"]
    world.tick("2026-01-09 14:00")
    assert world.nights() == ["07 22:00 CLOSED", "08 22:00 RUNNING"]
    assert world.night("2026-01-08 22:00").ends_at == world.moment("2026-01-09 16:00")


def test_a_long_outage_of_a_busy_schedule_is_decided_in_parts(world):
    """2160 fire times: each has its row, and the last two are made up."""
    world.add("*/2 * * * *", catch_up="all", catch_up_limit=2)
    for _ in range(3):
        world.tick("2026-01-10 12:01:30")
    nights = world.firings.of(world.name, limit=10000)
    assert len({night.fire_at for night in nights}) == 3 * 24 * 30
    assert [str(night.state) for night in nights[:3]] == ["QUEUED", "RUNNING", "MISSED"]
    assert {night.state for night in nights[2:]} == {FiringState.MISSED}


def test_paused_time_is_not_caught_up(world):
    """It fires again from its resumption on."""
    world.add(catch_up="all")
    world.schedules.pause(world.name, by="bob", now=world.clock(), reason="holidays")
    world.tick("2026-01-09 12:00")
    world.schedules.resume(world.name, by="bob", now=world.clock())
    world.tick("2026-01-09 22:00")
    assert world.nights() == ["09 22:00 RUNNING"]
    assert world.kinds()[:3] == ["schedule.added", "schedule.paused", "schedule.resumed"]


def test_a_night_of_a_schedule_that_was_paused_in_the_meantime_is_skipped(world):
    """It waited for another one, which goes on."""
    overrun(world, "queue", "9h")
    world.schedules.pause(world.name, by="bob", now=world.clock())
    world.tick("2026-01-08 22:01")
    assert world.nights() == ["07 22:00 RUNNING", "08 22:00 SKIPPED"]


def test_jitter_delays_the_firing_and_not_its_name_nor_its_windows_end(world):
    """The night is that of its fire time."""
    schedule = world.add(window="9h", jitter="10m")
    assert schedule.next_at < schedule.due_at < schedule.next_at + 600.0
    world.clock.now = schedule.due_at - 0.5
    world.tick()
    assert world.nights() == []
    world.clock.now = schedule.due_at
    world.tick()
    night = world.night("2026-01-07 22:00")
    assert (night.state, night.ends_at) == (FiringState.RUNNING, world.moment("2026-01-08 07:00"))


def test_a_spec_whose_data_is_gone_fails_the_night_with_every_problem(world):
    """The next one is tried again."""
    rule = read_rule({"cron": "0 22 * * *"})
    world.schedules.add(world.name, make_spec(), rule, by="ann", now=world.clock())
    world.tick("2026-01-07 22:00")
    night = world.night("2026-01-07 22:00")
    assert night.state is FiringState.FAILED
    assert "dataset.train.annotations" in night.reason
    assert "dataset.val.annotations" in night.reason


def test_the_same_schedule_again_changes_nothing_and_another_one_is_refused(world):
    """One that was removed may be added again, and its nights are still there."""
    made = world.add()
    world.clock.tick(60.0)
    assert world.add() == made
    with pytest.raises(WrongState, match="already, and it is another one"):
        world.add("0 23 * * *")
    world.tick("2026-01-07 22:00")
    world.schedules.remove(world.name, by="bob", now=world.clock())
    with pytest.raises(UnknownSchedule, match="was removed"):
        world.schedules.pause(world.name, by="bob", now=world.clock())
    again = world.add("0 23 * * *")
    assert (again.revision, again.next_at) == (3, world.moment("2026-01-07 23:00"))
    assert len(world.nights()) == 1
    with pytest.raises(UnknownSchedule) as unknown:
        world.schedules.get(world.name + "x")
    assert str(unknown.value) == f"no schedule '{world.name}x'"
    assert world.name in unknown.value.hint


def test_a_rule_that_cannot_be_read_holds_up_no_other_schedule(world):
    """Its schedule is passed over, and no tick is taken for unfinished by it."""
    world.add()
    broken, rule = f"a{world.name}", {"cron": "0 22 * * *", "of_a_newer_version": 1}
    world.schedules.add(broken, curves_spec(), read_rule({"cron": "0 22 * * *"}), by="ann", now=world.clock())
    mine = schedules.c.name == broken
    with world.engine.begin() as connection:
        connection.execute(sa.update(schedules).where(mine).values(rule=rule))
    world.at("2026-01-07 22:00")
    assert world.services[0].tick() is True
    assert world.services[0].tick() is False
    assert world.nights() == ["07 22:00 RUNNING"]
    assert world.firings.of(broken) == []
    listed = world.schedules.listed(limit=2)
    assert [each.name for each in listed.schedules] == [world.name]
    assert ([each.name for each in listed.unreadable], listed.after) == ([broken], None)
    assert listed.unreadable[0].reason.startswith("of_a_newer_version: unknown field")
    with pytest.raises(UnreadableSchedule, match="cannot be read"):
        world.schedules.pause(broken, by="ann", now=world.clock())
    with world.engine.begin() as connection:
        connection.execute(sa.delete(schedule_events).where(schedule_events.c.schedule == broken))
        connection.execute(sa.delete(schedules).where(mine))


def test_nights_that_wait_are_skipped_with_the_removal(world):
    """A schedule of that name that is added again begins none of them."""
    overrun(world, "queue")
    world.schedules.remove(world.name, by="bob", now=world.clock())
    world.add("0 23 * * *")
    assert world.nights() == ["07 22:00 RUNNING", "08 22:00 SKIPPED"]
    assert world.night("2026-01-08 22:00").reason == "the schedule is REMOVED"
    skipped = [event for event in world.schedules.events(world.name) if event.kind == "night.skipped"]
    assert [event.by for event in skipped] == ["bob"]


def test_a_night_that_closes_locks_its_schedule_before_its_sweep(world):
    """As whoever begins one does: two orders would deadlock on PostgreSQL."""
    world.add(window="9h")
    world.tick("2026-01-07 22:00")
    (night,) = [each for each in world.services[0]._nights.running() if each.firing.schedule == world.name]
    asked: list[str] = []

    def ask(_connection, _cursor, statement, *_) -> None:
        asked.append(statement)

    sa.event.listen(world.engine, "before_cursor_execute", ask)
    try:
        world.services[0]._nights.close(night, world.clock(), "its window has closed", hold=True)
    finally:
        sa.event.remove(world.engine, "before_cursor_execute", ask)
    tables = ["schedules" if "FROM schedules" in each else "sweeps" for each in asked if "FROM s" in each]
    assert tables[:2] == ["schedules", "sweeps"]
