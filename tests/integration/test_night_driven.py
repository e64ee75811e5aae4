"""A schedule's nights with a real supervisor and real drivers."""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from sweeps.bootstrap import open_service
from sweeps.core.states import AttemptState, TrialState
from sweeps.schedules.backfill import backfilled
from sweeps.schedules.nights import FiringState
from sweeps.schedules.rule import read_rule
from sweeps.settings import Settings
from sweeps.store import tables_night as tables
from sweeps.store.engine import writing
from sweeps.store.firings import FiringRecord, Firings
from sweeps.store.schedules import Schedules
from sweeps.supervisor.scheduler import Scheduler
from sweeps.testing import make_spec
from tests.failure.test_supervised import supervising
from tests.waiting import until

pytestmark = pytest.mark.slow  # starts drivers, which join a Ray cluster


def test_a_window_that_closes_while_a_worker_works_pauses_at_a_checkpoint(tmp_path, mlflow_uri, ray_address):
    """The next night goes on from there, with the same sweep, to its end; nothing runs between the two."""
    env = {**os.environ, "MLFLOW_TRACKING_URI": mlflow_uri}
    settings = Settings.load(tmp_path, environ=env)
    service = open_service(settings, create=True)
    spec = make_spec(
        dataset=None,
        base={"synthetic": "curves", "step_s": 0.1, "crashes": 0, "nans": 0, "out_of_memory": 0},
        space={"solver.base_lr": {"low": 0.01, "high": 0.1}},
        fidelity={"iterations": 60, "rungs": [20, 60]},
        pruner={"type": "none"},
        budget={"trials": 2},
        resources={"max_concurrent": 1},
    )
    rule = read_rule({"cron": "0 0 * * *", "window": "1h"})
    schedules, firings = Schedules(service.engine), Firings(service.engine)
    schedules.add("nightly", spec, rule, by="ann", now=time.time())
    today = datetime.now(UTC).date()
    nights = [str(today - timedelta(days=days)) for days in (2, 1)]
    scheduler = Scheduler(service)

    def night(number: int) -> FiringRecord:
        return firings.of("nightly")[-1 - number]

    def ticked(true: Callable[[], object]) -> Callable[[], bool]:
        def look() -> bool:
            scheduler.tick()
            return bool(true())

        return look

    now = time.time()
    firings.backfill("nightly", backfilled(rule, *nights, now), by="ann", now=now)
    with supervising(SimpleNamespace(directory=tmp_path, env=env), ray_address):
        until(ticked(lambda: night(0).sweep_id is not None))
        sweep_id = night(0).sweep_id
        assert sweep_id is not None
        until(lambda: len(service.measurements(sweep_id)) == 1)
        assert (night(0).state, night(1).state) == (FiringState.RUNNING, FiringState.QUEUED)
        with writing(service.engine) as connection:  # the window's end is now, however long the start took
            connection.execute(sa.update(tables.firings).values(ends_at=time.time()))
        until(ticked(lambda: night(0).state is FiringState.CLOSED))
        assert night(0).reason == "the night's window has closed"
        paused = next(event for event in service.events(sweep_id) if event.kind == "sweep.paused")
        assert paused.data["reason"] == "the night's window has closed"
        until(ticked(lambda: night(1).state is FiringState.CLOSED))
    assert night(1).sweep_id == sweep_id
    assert night(1).reason == "the sweep is COMPLETED: budget of 2 trials used up"
    first, second = service.trials(sweep_id)
    assert (first.state, second.state) == (TrialState.COMPLETED, TrialState.COMPLETED)
    attempts = [each for each in service.attempts(sweep_id) if each.number == 0]
    assert [each.state for each in attempts] == [AttemptState.PAUSED, AttemptState.ENDED]
    assert attempts[1].start_iteration == attempts[0].iteration > 0
    service.engine.dispose()
