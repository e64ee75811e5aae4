"""What a tick of the scheduler takes over 10,000 schedules on PostgreSQL.

The first tick finds nothing due, the next few of them, the last one all the others, which it reads in pages.
Their sweeps are left aside: what is measured is the scheduler, and not 10,000 new sweeps.
"""

import json
import time

import pytest
import sqlalchemy as sa

from sweeps.core.spec import spec_document
from sweeps.schedules.rule import read_rule
from sweeps.schedules.times import next_fire_time
from sweeps.service import SweepService
from sweeps.store.engine import open_engine, writing
from sweeps.store.firings import PAGE, Firings
from sweeps.store.migrations import upgrade
from sweeps.store.tables_night import schedules
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
    firings, pages, began = Firings(engine), 1, time.perf_counter()
    while firings.is_due(clock()) and firings.fire(clock(), by="bench"):
        pages += 1
    rest_s = time.perf_counter() - began
    waiting = len(firings.open())
    next_s = tick()
    print(f"\na tick over {COUNT} schedules: {idle_s * 1e3:.1f} ms, nothing due")
    print(f"  {few_s * 1e3:.0f} ms with {FEW} due, each with a new sweep")
    print(f"  {after_s * 1e3:.1f} ms while these run")
    print(f"  {first_s * 1e3:.0f} ms with {COUNT - FEW} due: {PAGE} decided, {MOST_BEGUN} begun")
    print(f"  {next_s * 1e3:.0f} ms with {waiting} decided: {MOST_BEGUN} begun")
    print(f"{rest_s:.2f} s to decide the others, {pages - 1} pages of {PAGE}")
    assert waiting == COUNT - FEW - MOST_BEGUN
    assert max(idle_s, few_s, after_s, first_s, next_s) < 1.0
