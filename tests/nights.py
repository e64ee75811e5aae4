"""Schedules and their nights, put into the store's tables as a scheduler leaves them, and played."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from runners.champion.contest import hold
from runners.champion.judging import Bench, judge
from runners.curves.objective import Objective
from sweeps.core.spec import SweepSpec, spec_document
from sweeps.core.states import SweepState
from sweeps.core.stops import Limit
from sweeps.core.trial import Suggestion
from sweeps.service import SweepService
from sweeps.settings import Settings
from sweeps.store.champions import Champions
from sweeps.store.engine import open_engine, writing
from sweeps.store.firings import Firings
from sweeps.store.migrations import upgrade
from sweeps.store.tables_night import firings, schedules
from sweeps.testing import COMPLETED, FakeClock, make_report, make_spec

SCHEDULE = "nightly"


def add_schedule(engine: sa.Engine, spec: SweepSpec, name: str = SCHEDULE, **rule: Any) -> None:
    row = {"name": name, "state": "ACTIVE", "spec": spec_document(spec), "rule": rule, "revision": 1}
    with writing(engine) as connection:
        connection.execute(sa.insert(schedules), {**row, "created_by": "ann", "created_at": 0.0})


def add_night(engine: sa.Engine, sweep_id: str, fire_at: float, name: str = SCHEDULE, **columns: Any) -> None:
    row = {"schedule": name, "fire_at": fire_at, "state": "RUNNING", "why": "time", "decided_at": fire_at}
    with writing(engine) as connection:
        connection.execute(sa.insert(firings), {**row, "sweep_id": sweep_id, **columns})


CURVES = {"synthetic": "curves", "weights": "none", "noise": 0.3, "nans": 0, "out_of_memory": 0, "crashes": 0}
SPACE = {"solver.base_lr": {"low": 0.0001, "high": 0.1, "log": True}}


class Nights:
    """A home with one schedule on the synthetic objective; nights are played without a driver."""

    def __init__(self, directory: Path, *, engine: sa.Engine | None = None, name: str = SCHEDULE, **rule):
        self.name = name
        self.settings = Settings.load(directory, environ={})
        self.engine = engine or open_engine(self.settings.store_url)
        upgrade(self.engine)
        self.service, self.champions = SweepService(self.engine), Champions(self.engine)
        self.clock = FakeClock()
        self.spec = make_spec(base=CURVES, space=SPACE, dataset=None)
        self.objective = Objective.of(self.spec)
        add_schedule(self.engine, self.spec, name, **rule)
        self.nights = 0

    def night(self, *values, spec=None, **columns):
        """A claimed sweep of a new night, STOPPING, with one trial a value of its learning rate."""
        self.nights += 1
        sweep_id = self.service.create(spec or self.spec, fingerprint="f", now=self.clock()).sweep_id
        add_night(self.engine, sweep_id, self.clock.tick(86_400), self.name, **columns)
        claim = self.service.claim(sweep_id, self.clock.tick())
        for number, rate in enumerate(values):
            self.trial(claim, number, rate, seed=1000 * self.nights + number)
        return claim

    def trial(self, claim, number, rate, seed, outcome=COMPLETED, **more):
        params = {"solver.base_lr": rate}
        self.service.add_trial(claim, Suggestion(number, params, seed), {}, self.clock.tick(), **more)
        metrics = self.objective.metrics(params, seed, 300)
        iteration = 300 if outcome is COMPLETED else 75
        report = make_report(number, 1, iteration, metrics=metrics, checkpoint="/gone")
        self.service.record(claim, report, outcome=outcome, sampler_attrs=None, now=self.clock.tick())

    def bench(self, claim, **changes):
        made = Bench(self.service, self.champions, claim, self.settings, 0.0, self.clock, hold)
        return replace(made, **changes)

    def judge(self, claim, left=SweepState.COMPLETED):
        if left.terminal:
            self.stop(claim)
        return judge(self.bench(claim), left)

    def stop(self, claim):
        self.service.finish(claim, SweepState.STOPPING, "done", self.clock.tick(), limit=Limit.TRIALS)

    def firings(self):
        """The states of all nights, by fire time."""
        return [str(each.state) for each in reversed(Firings(self.engine).of(self.name))]

    def kept(self):
        there = self.settings.champion_directory(self.name).iterdir()
        return sorted(path.name for path in there if path.name != ".lock")

    def rates(self, count=2):
        """Learning rates from a bad one to a good one in this landscape, each better than the one before."""
        tried = [10 ** (-4 + 3 * k / 10) for k in range(11)]
        worth = {rate: self.objective.metrics({"solver.base_lr": rate}, 1, 300)["segm/AP"] for rate in tried}
        ordered = sorted(tried, key=worth.get)
        return [ordered[k * (len(ordered) - 1) // (count - 1)] for k in range(count)]
