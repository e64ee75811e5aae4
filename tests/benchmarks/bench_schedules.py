"""What a tick of the scheduler takes over 10,000 schedules on PostgreSQL.

The first tick finds nothing due, the next few of them, the last one all the others, which it reads in pages.
Their sweeps are left aside: what is measured is the scheduler, and not 10,000 new sweeps.
"""

import json
import time
from collections.abc import Callable
from statistics import median

import pytest
import sqlalchemy as sa

from sweeps.core.spec import spec_document
from sweeps.schedules.nights import FiringState
from sweeps.schedules.rule import read_rule
from sweeps.schedules.times import next_fire_time
from sweeps.service import SweepService
from sweeps.store.engine import open_engine, reading, writing
from sweeps.store.firings import PAGE, Firings
from sweeps.store.migrations import upgrade
from sweeps.store.schedule_totals import schedule_totals
from sweeps.store.schedules import Schedules
from sweeps.store.tables_night import firings, schedules
from sweeps.supervisor.scheduler import MOST_BEGUN, Scheduler
from sweeps.testing import FakeClock, make_spec, store_url

COUNT = 10_000
FEW = 20


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    engine = open_engine(store_url("postgresql", tmp_path_factory.mktemp("store"), "schedules"))
    upgrade(engine)
    yield engine
    engine.dispose()


def test_a_tick_over_ten_thousand_schedules(engine):
    """Nothing due, 20 due with a new sweep each, and all due."""
    clock = FakeClock()
    start = clock()
    spec = make_spec(
        dataset=None, base={"synthetic": "curves"}, space={"solver.base_lr": {"low": 0.01, "high": 0.1}}
    )
    rows = []
    for number in range(COUNT):
        rule = read_rule(
            {"cron": "0 22 * * *" if number >= FEW else "0 21 * * *", "timezone": "Europe/Berlin"}
        )
        at = next_fire_time(rule, start)
        rows.append(
            {
                "name": f"s{number:05}",
                "state": "ACTIVE",
                "spec": json.loads(spec_document(spec)),
                "rule": rule.document(),
                "revision": 1,
                "next_at": at,
                "due_at": at,
                "created_by": "ann",
                "created_at": start,
            }
        )
    with writing(engine) as connection:
        connection.execute(sa.insert(schedules), rows)
    scheduler = Scheduler(SweepService(engine), clock)

    def tick() -> float:
        began = time.perf_counter()
        scheduler.tick()
        return time.perf_counter() - began

    tick()
    idle_s = min(tick() for _ in range(5))
    clock.now = rows[0]["due_at"]
    few_s = tick()
    after_s = min(tick() for _ in range(5))
    clock.now = rows[-1]["due_at"]
    first_s = tick()
    nights, pages, began = Firings(engine), 1, time.perf_counter()
    while nights.is_due(clock()) and nights.fire(clock(), by="bench"):
        pages += 1
    rest_s = time.perf_counter() - began
    waiting = len(nights.open())
    next_s = tick()
    print(f"\na tick over {COUNT} schedules: {idle_s * 1e3:.1f} ms, nothing due")
    print(f"  {few_s * 1e3:.0f} ms with {FEW} due, each with a new sweep")
    print(f"  {after_s * 1e3:.1f} ms while these run")
    print(f"  {first_s * 1e3:.0f} ms with {COUNT - FEW} due: {PAGE} decided, {MOST_BEGUN} begun")
    print(f"  {next_s * 1e3:.0f} ms with {waiting} decided: {MOST_BEGUN} begun")
    print(f"{rest_s:.2f} s to decide the others, {pages - 1} pages of {PAGE}")
    assert waiting == COUNT - FEW - MOST_BEGUN
    assert max(idle_s, few_s, after_s, first_s, next_s) < 1.0


NIGHTS = 100_000


@pytest.mark.parametrize("back_end", ["sqlite", "postgresql"])
def test_the_numbers_of_a_hundred_thousand_nights(tmp_path, back_end):
    """A hundred schedules for a thousand days each: what `/metrics` asks each time."""
    engine = open_engine(store_url(back_end, tmp_path, f"nights{back_end}"))
    upgrade(engine)
    each, start = NIGHTS // 100, FakeClock()()
    spec = make_spec(
        dataset=None, base={"synthetic": "curves"}, space={"solver.base_lr": {"low": 0.01, "high": 0.1}}
    )
    for name in (f"s{number}" for number in range(100)):
        Schedules(engine).add(name, spec, read_rule({"cron": "0 22 * * *"}), by="ann", now=start)
        fire_ats = [start + day * 86_400.0 for day in range(each)]
        rows = [
            {"schedule": name, "fire_at": at, "state": "CLOSED", "why": "time", "decided_at": at}
            | {"ended_at": at}
            for at in fire_ats
        ]
        with writing(engine) as connection:
            connection.execute(sa.insert(firings), rows)
    if back_end == "postgresql":
        with writing(engine) as connection:
            connection.execute(sa.text("ANALYZE"))  # as it does by itself after a minute
    now = start + (each - 1) * 86_400.0 + 1.0
    everything = sa.select(firings.c.state, sa.func.count()).group_by(firings.c.state)

    def ms(ask: Callable[[], object]) -> float:
        times = []
        for _ in range(20):
            began = time.perf_counter()
            ask()
            times.append((time.perf_counter() - began) * 1e3)
        return median(times)

    with reading(engine) as connection:
        all_ms = ms(lambda: connection.execute(everything).all())
    took_ms = ms(lambda: schedule_totals(engine, now))
    print(f"\n{back_end}: {took_ms:.1f} ms for all numbers of {NIGHTS} nights, {all_ms:.1f} ms to count each")
    assert schedule_totals(engine, now).nights == {FiringState.CLOSED: 100}
    assert took_ms < all_ms
    engine.dispose()
