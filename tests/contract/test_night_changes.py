"""What is replaced, asked for again or left behind around a night, on SQLite and on a real PostgreSQL."""

import json

import pytest
import sqlalchemy as sa

from sweeps.core.champion import Decision
from sweeps.core.notices import NoticeKind
from sweeps.core.requests import RequestKind
from sweeps.core.states import SweepState
from sweeps.core.trial import Suggestion
from sweeps.notify.finder import VERDICT_S, Finder
from sweeps.notify.places import Place
from sweeps.schedules.backfill import backfilled
from sweeps.schedules.nights import FiringState
from sweeps.schedules.rule import read_rule
from sweeps.store.champions import Champions
from sweeps.store.engine import reading, writing
from sweeps.store.outbox import Outbox, last_deliveries
from sweeps.store.submissions import find
from sweeps.store.tables import sweeps
from sweeps.store.totals import totals
from sweeps.testing import COMPLETED, make_report
from tests.contract.nights import World, curves_spec


def trained_in_full(world: World, local: str, **rule) -> str:
    """The sweep of a night in which trial 0 was trained in full."""
    world.add(**rule)
    world.tick(local)
    sweep_id = world.night(local).sweep_id
    claim = world.drive(sweep_id)
    world.service.add_trial(claim, Suggestion(0, {"solver.base_lr": 0.05}, 1), {}, world.clock())
    full = world.service.sweep(sweep_id).spec.fidelity.iterations
    report = make_report(0, iteration=full, metrics={"segm/AP": 41.0})
    world.service.record(claim, report, outcome=COMPLETED, sampler_attrs=None, now=world.clock())
    return sweep_id


def verdicts(world: World) -> list[tuple[Decision, str]]:
    return [(each.decision, each.reason) for each in Champions(world.engine).verdicts(world.name)]


def test_a_running_night_keeps_the_rule_that_it_began_with(world):
    """Whoever replaces the schedule changes later nights: here one without a limit by one that is used up."""
    world.add(confidence=0.9)
    world.tick("2026-01-07 22:00")
    night = world.night("2026-01-07 22:00")
    world.drive(night.sweep_id)
    world.train(night.sweep_id, 0, 7200.0)
    world.schedules.remove(world.name, by="bob", now=world.clock())
    world.add(gpu_hours=1.0, confidence=0.8)
    world.tick("2026-01-07 23:00")
    assert world.service.open_requests(night.sweep_id) == []
    assert Champions(world.engine).night_of(night.sweep_id).confidence == 0.9
    world.finish(night.sweep_id)
    world.tick("2026-01-08 02:00")
    assert world.night("2026-01-07 22:00").state is FiringState.CLOSED


def test_a_schedule_that_is_removed_again_is_removed(world):
    """Whoever asks again since the answer was lost is not told that there is none; one event tells of it."""
    world.add()
    first = world.schedules.remove(world.name, by="bob", now=world.clock())
    world.clock.tick(60.0)
    assert world.schedules.remove(world.name, by="bob", now=world.clock()) == first
    assert world.kinds().count("schedule.removed") == 1


def test_a_backfill_that_is_asked_for_again_answers_as_before(world):
    """Under its key, though its first night has begun since; under another one it asks for what is left."""
    rule = read_rule({"cron": "0 22 * * *", "window": "9h"})
    world.add(window="9h")
    asked = backfilled(rule, "2026-01-04", "2026-01-06", world.clock())
    made = world.firings.backfill(world.name, asked, by="bob", now=world.clock(), key="bob\n1")
    world.tick("2026-01-07 12:01")
    again = world.firings.backfill(world.name, asked, by="bob", now=world.clock(), key="bob\n1")
    assert [night.fire_at for night in again] == [night.fire_at for night in made]
    assert [night.state for night in again] == [FiringState.RUNNING, FiringState.QUEUED, FiringState.QUEUED]
    assert world.firings.backfill(world.name, asked, by="bob", now=world.clock(), key="bob\n2") == []
    assert world.kinds().count("schedule.backfilled") == 2
    told = [event.data for event in world.schedules.events(world.name) if event.kind == "schedule.backfilled"]
    assert "bob" not in str(told)


def test_a_night_whose_driver_is_gone_when_its_window_closes_has_a_verdict(world):
    """That nobody judged its best: nobody waits in the morning for one that never comes."""
    sweep_id = trained_in_full(world, "2026-01-07 22:00", window="9h")
    world.tick("2026-01-08 07:00")
    world.obey(sweep_id)  # the machine died before the driver could judge
    world.tick("2026-01-08 07:01")
    night = world.night("2026-01-07 22:00")
    assert (night.state, world.state(sweep_id)) == (FiringState.CLOSED, SweepState.PAUSED)
    assert verdicts(world) == [(Decision.FAILED, "trial 0 was not judged: no driver was there")]
    assert world.kinds()[-2:] == ["night.closed", "firing.judged"]
    world.tick("2026-01-08 22:00")
    waits = Champions(world.engine).night_of(sweep_id)
    assert waits.fire_at == world.moment("2026-01-08 22:00"), "the next night's is on all of the sweep"


def test_a_night_that_a_person_paused_says_so_in_its_verdict(world):
    """It is that person's doing, and no driver's."""
    sweep_id = trained_in_full(world, "2026-01-07 22:00", window="9h")
    world.control.ask(sweep_id, RequestKind.PAUSE, by="ann", now=world.clock())
    world.obey(sweep_id)
    world.tick("2026-01-08 07:00")
    assert verdicts(world) == [(Decision.FAILED, "trial 0 was not judged: ann had paused its sweep")]


def test_a_sweep_that_was_given_up_leaves_a_verdict_and_a_cancelled_one_none(world):
    """Nobody wants a champion of what was cancelled."""
    for local, state, reason in (
        ("2026-01-07 22:00", SweepState.FAILED, "no driver came far"),
        ("2026-01-08 22:00", SweepState.CANCELLED, "not wanted"),
    ):
        sweep_id = trained_in_full(world, local)
        world.service.finish(world.claims[sweep_id], state, reason, world.clock())
        world.clock.tick(60.0)
        world.tick()
        assert world.night(local).state is FiringState.CLOSED
    assert verdicts(world) == [(Decision.FAILED, "trial 0 was not judged: no driver was there")]


def test_what_was_not_trained_in_full_needs_no_verdict(world):
    """There is nothing to judge: the sweep goes on with the next night."""
    world.add(window="9h")
    world.tick("2026-01-07 22:00")
    sweep_id = world.night("2026-01-07 22:00").sweep_id
    world.drive(sweep_id)
    world.train(sweep_id, 0, 60.0)
    world.tick("2026-01-08 07:00")
    world.obey(sweep_id)
    world.tick("2026-01-08 07:01")
    assert world.night("2026-01-07 22:00").state is FiringState.CLOSED
    assert verdicts(world) == []


def spoil(world: World, sweep_id: str) -> str:
    """Writes the sweep's spec as a newer version would; returns what it was."""
    with writing(world.engine) as connection:
        mine = sweeps.c.sweep_id == sweep_id
        spec = json.loads(connection.execute(sa.select(sweeps.c.spec).where(mine)).scalar_one())
        changed = json.dumps({**spec, "from_a_newer_version": 1})
        connection.execute(sa.update(sweeps).where(mine).values(spec=changed))
    return json.dumps(spec)


def test_a_sweep_that_cannot_be_read_holds_up_no_other_schedule(world, caplog):
    """Others fire, are told of and counted; the log has the reason, once."""
    place = Place("json-x", "json://x", frozenset(NoticeKind))
    finder = Finder(world.service, Outbox(world.engine, "one"), [place], lambda _: None)
    other = f"other-{world.name}"
    world.add(window="9h", gpu_hours=1.0)
    world.schedules.add(other, curves_spec(), read_rule({"cron": "0 8 * * *"}), by="ann", now=world.clock())
    finder.look(world.clock())
    world.tick("2026-01-07 22:00")
    spoiled = world.night("2026-01-07 22:00").sweep_id
    world.drive(spoiled)
    spec = spoil(world, spoiled)
    world.claims.clear()
    for local in ("2026-01-07 22:30", "2026-01-08 07:00", "2026-01-08 07:01", "2026-01-08 08:00"):
        world.tick(local)
    (fired,) = world.firings.of(other)
    assert fired.state is FiringState.RUNNING
    world.drive(fired.sweep_id)
    world.finish(fired.sweep_id)
    world.tick("2026-01-08 08:10")
    world.clock.tick(VERDICT_S + 1.0)
    finder.look(world.clock())
    titles = [each.title for each in last_deliveries(world.engine, 50) if each.place == place.place_id]
    assert any(other in title for title in titles)
    shown = {each.sweep.sweep_id for each in totals(world.engine, world.clock()).shown}
    assert fired.sweep_id in shown
    assert spoiled not in shown
    passed = [each for each in caplog.records if f"schedule {world.name} is passed over" in each.getMessage()]
    assert len(passed) == 1
    with writing(world.engine) as connection:  # other tests of this store read all sweeps
        connection.execute(sa.update(sweeps).where(sweeps.c.sweep_id == spoiled).values(spec=spec))
    world.schedules.remove(other, by="ann", now=world.clock())


@pytest.mark.parametrize("overlap", ["skip", "continue"])
def test_a_sweep_that_goes_on_takes_the_rank_of_the_schedule_as_it_is_now(world, overlap):
    """The schedule was replaced by one that differs in priority and weight alone: the pool hears of it."""
    world.name += overlap
    world.add(window="9h", overlap=overlap, priority=1)
    world.tick("2026-01-07 22:00")
    sweep_id = world.night("2026-01-07 22:00").sweep_id
    world.drive(sweep_id)
    if overlap == "skip":
        world.tick("2026-01-08 07:00")
        world.obey(sweep_id)
        world.tick("2026-01-08 07:01")
    world.schedules.remove(world.name, by="bob", now=world.clock())
    if overlap == "continue":  # while the night is at work
        world.at("2026-01-08 06:00")
        world.add("30 6 * * *", window="9h", overlap=overlap, priority=5, weight=2.0)
        next_one = "2026-01-08 06:30"
    else:
        world.add(window="9h", priority=5, weight=2.0)
        next_one = "2026-01-08 22:00"
    world.tick(next_one)
    assert world.night(next_one).sweep_id == sweep_id
    with reading(world.engine) as connection:
        found = find(connection, sweep_id)
    assert (found.priority, found.weight) == (5, 2.0)
    (ranked,) = [each for each in world.service.events(sweep_id) if each.kind == "sweep.ranked"]
    assert (ranked.data["priority"], ranked.data["weight"]) == (5, 2.0)
    assert ranked.by.startswith("masksweep-scheduler")
