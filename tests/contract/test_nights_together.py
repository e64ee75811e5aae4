"""Several services on one store, and services that die: no night is lost, none comes twice."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from sweeps.core.states import SweepState
from sweeps.schedules.nights import FiringState
from sweeps.schedules.rule import read_rule
from tests.contract.nights import Killed, World, curves_spec, killed_at

ZONES = ("Europe/Berlin", "America/New_York", "Asia/Kolkata")


@pytest.mark.slow  # two thousand ticks
def test_two_services_through_a_year_lose_and_double_no_night(engine):
    """In three zones, at half past two, which the clocks pass over in spring and show twice in autumn.

    The whole year on PostgreSQL, where both write at once; on SQLite, where they take turns, the months in
    which clocks are set.
    """
    world = World(engine, "year", services=2)
    spans = [("2026-01-01", "2027-01-01")]
    if engine.dialect.name == "sqlite":
        spans = [("2026-03-01", "2026-04-05"), ("2026-10-20", "2026-11-08")]
    expected = dict.fromkeys(ZONES, 0)
    world.at(spans[0][0])
    for zone in ZONES:
        rule = read_rule({"cron": "30 2 * * *", "timezone": zone, "overlap": "continue"})
        world.schedules.add(zone.replace("/", "."), curves_spec(), rule, by="ann", now=world.clock())
    with ThreadPoolExecutor(2) as pool:
        for start, end in spans:
            for zone in ZONES:  # what lies between the spans is not caught up
                world.schedules.pause(zone.replace("/", "."), by="ann", now=world.clock())
            world.at(start)
            for zone in ZONES:
                name = zone.replace("/", ".")
                next_at = world.schedules.resume(name, by="ann", now=world.clock()).next_at
                first = datetime.fromtimestamp(next_at, ZoneInfo(zone)).date()
                last = datetime.fromtimestamp(world.moment(end), ZoneInfo(zone))
                passed = (last.hour, last.minute) >= (2, 30)
                expected[zone] += (last.date() - first).days + passed
            while True:
                due_at = min(each.due_at for each in world.schedules.all() if "." in each.name)
                if due_at > world.moment(end):
                    break
                world.clock.now = due_at
                list(pool.map(lambda service: service.tick(), world.services))
    for zone in ZONES:
        name = zone.replace("/", ".")
        nights = world.firings.of(name, limit=1000)
        days = Counter(datetime.fromtimestamp(night.fire_at, ZoneInfo(zone)).date() for night in nights)
        assert (len(days), set(days.values())) == (expected[zone], {1})
        assert {night.why for night in nights} == {"time"}
        states = Counter(night.state for night in nights)
        assert states == {FiringState.CLOSED: len(nights) - 1, FiringState.RUNNING: 1}
        kinds = Counter(event.kind for event in world.schedules.events(name, limit=10_000))
        assert kinds["night.due"] == kinds["night.started"] == len(nights)
        assert len({night.sweep_id for night in nights}) == 1
        world.schedules.remove(name, by="ann", now=world.clock())


def test_two_services_begin_one_night_with_one_sweep(engine):
    """New sweeps, of many schedules at one moment."""
    world = World(engine, "at-once", services=2)
    world.at("2026-02-01 12:00")
    rule = read_rule({"cron": "0 22 * * *"})
    names = [f"at-once-{number}" for number in range(12)]
    for name in names:
        world.schedules.add(name, curves_spec(), rule, by="ann", now=world.clock())
    world.at("2026-02-01 22:00")
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda service: service.tick(), world.services))
    world.services[0].tick()
    found = [night for name in names for night in world.firings.of(name)]
    assert [str(night.state) for night in found] == ["RUNNING"] * len(names)
    assert len({night.sweep_id for night in found}) == len(names)
    for name in names:
        kinds = [event.kind for event in world.schedules.events(name)]
        assert kinds == ["schedule.added", "night.due", "night.started"]
        world.schedules.remove(name, by="ann", now=world.clock())


@pytest.mark.parametrize("overlap", ["skip", "queue", "cancel", "continue"])
def test_a_service_that_is_killed_at_any_write_leaves_what_another_one_goes_on_with(engine, overlap):
    """Between the row and the launch, and wherever else: the end is that of a service that lived."""
    expected, _ = overrun(World(engine, f"lives-{overlap}"), overlap, 10**6)
    place, died = 0, True
    while died:
        seen, died = overrun(World(engine, f"dies-{overlap}-{place}"), overlap, place)
        assert seen == expected, place
        place += 1
    assert place > 3


def overrun(world: World, overlap: str, place: int) -> tuple[list[str], bool]:
    """A night that runs into the next one's time; what came of it, and whether a service died at a write."""
    engine = world.engine
    world.at("2026-01-07 12:00")
    world.add(window="9h", overlap=overlap)
    world.tick("2026-01-07 22:00")
    sweep_id = world.night("2026-01-07 22:00").sweep_id
    world.drive(sweep_id)
    died, writes = False, iter(range(place))
    for local in ("2026-01-08 07:00", "2026-01-08 22:00"):
        world.at(local)
        world.service.beat(world.claims[sweep_id], world.clock())
        try:
            with nullcontext() if died else killed_at(engine, writes):
                world.services[0].tick()
        except Killed:
            died = True
        world.scheduler().tick()
    for request in world.service.open_requests(sweep_id)[:1]:
        world.service.finish(world.claims[sweep_id], SweepState.PAUSED, request.reason, world.clock())
    for _ in range(2):
        world.clock.tick(2.0)
        world.scheduler().tick()
    seen = [*world.nights(), str(world.state(sweep_id))]
    seen.append(str(len({night.sweep_id for night in world.firings.of(world.name) if night.sweep_id})))
    kinds = Counter(world.kinds())
    seen += sorted(f"{kind} {count}" for kind, count in kinds.items())
    world.schedules.remove(world.name, by="ann", now=world.clock())
    world.scheduler().tick()
    return seen, died
