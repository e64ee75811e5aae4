"""A store with schedules, a clock that is set, and drivers that do as they are told."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from sweeps.core.requests import RequestKind
from sweeps.core.states import SweepState
from sweeps.core.trial import Suggestion
from sweeps.records import Claim
from sweeps.schedules.rule import read_rule
from sweeps.service import SweepService
from sweeps.store.control import SweepControl
from sweeps.store.engine import reading
from sweeps.store.firings import FiringRecord, Firings
from sweeps.store.schedules import ScheduleRecord, Schedules
from sweeps.store.submissions import find
from sweeps.supervisor.scheduler import Scheduler
from sweeps.testing import GOES_ON, FakeClock, make_report, make_spec

SYNTHETIC = {
    "dataset": None,
    "base": {"synthetic": "curves"},
    "space": {"solver.base_lr": {"low": 0.01, "high": 0.1}},
}
"""What needs no data."""


def curves_spec(**sections):
    """A spec of the synthetic objective."""
    return make_spec(**(SYNTHETIC | sections))


class World:
    """Services that tick on one store.

    Args:
        engine: Of the store.
        name: Of the schedule that the questions below are about.
    """

    def __init__(self, engine, name: str, services: int = 1) -> None:
        self.engine, self.name = engine, name
        self.service, self.clock = SweepService(engine), FakeClock()
        self.schedules, self.firings = Schedules(engine), Firings(engine)
        self.control = SweepControl(engine, is_dead=lambda _: False)
        self.services = [self.scheduler() for _ in range(services)]
        self.claims: dict[str, Claim] = {}
        self.zone = ZoneInfo("UTC")

    def scheduler(self) -> Scheduler:
        return Scheduler(SweepService(self.engine), self.clock, is_dead=lambda _: False)

    def add(self, cron: str = "0 22 * * *", **fields) -> ScheduleRecord:
        """A schedule, added now."""
        rule = read_rule({"cron": cron, **fields})
        self.zone = rule.zone
        return self.schedules.add(self.name, curves_spec(), rule, by="ann", now=self.clock())

    def at(self, local: str) -> None:
        """Sets the clock, and nothing ticks."""
        self.clock.now = self.moment(local)

    def moment(self, local: str) -> float:
        return datetime.fromisoformat(local).replace(tzinfo=self.zone).timestamp()

    def tick(self, local: str | None = None) -> None:
        """One tick of each service, at that time; drivers that have a sweep live."""
        if local is not None:
            self.at(local)
        for sweep_id, claim in self.claims.items():
            if self.state(sweep_id) is SweepState.RUNNING:
                self.service.beat(claim, self.clock())
        for service in self.services:
            service.tick()

    def night(self, local: str) -> FiringRecord:
        return self.firings.at(self.name, [self.moment(local)])[self.moment(local)]

    def nights(self) -> list[str]:
        """Fire time and state of all, ascending."""
        found = reversed(self.firings.of(self.name))
        return [f"{datetime.fromtimestamp(each.fire_at, self.zone):%d %H:%M} {each.state}" for each in found]

    def kinds(self) -> list[str]:
        return [event.kind for event in self.schedules.events(self.name)]

    def state(self, sweep_id: str) -> SweepState:
        return self.service.sweep(sweep_id).state

    def held_by(self, sweep_id: str) -> str | None:
        with reading(self.engine) as connection:
            found = find(connection, sweep_id)
            assert found is not None, "it was not submitted"
            return found.held_by

    def drive(self, sweep_id: str) -> Claim:
        """A driver takes the sweep."""
        assert self.held_by(sweep_id) is None, "no supervisor would start a driver"
        self.claims[sweep_id] = self.service.claim(sweep_id, self.clock())
        return self.claims[sweep_id]

    def obey(self, sweep_id: str) -> None:
        """The driver does what is asked."""
        (request,) = self.service.open_requests(sweep_id)
        aim = SweepState.PAUSED if request.kind is RequestKind.PAUSE else SweepState.CANCELLED
        self.service.finish(self.claims[sweep_id], aim, request.reason, self.clock())

    def finish(self, sweep_id: str) -> None:
        """The sweep comes to its end."""
        claim, reason = self.claims[sweep_id], "all trials have ended"
        self.service.finish(claim, SweepState.COMPLETED, reason, self.clock())

    def train(self, sweep_id: str, number: int, gpu_s: float) -> None:
        """A trial holds a GPU for that long."""
        claim, suggestion = self.claims[sweep_id], Suggestion(number, {"solver.base_lr": 0.05}, 1)
        self.service.add_trial(claim, suggestion, {}, self.clock(), gpus=1.0)
        report = make_report(number, worker_s=gpu_s, metrics={"segm/AP": 1.0})
        self.service.record(claim, report, outcome=GOES_ON, sampler_attrs=None, now=self.clock())


class Killed(BaseException):
    """A process dies, here."""


@contextmanager
def killed_at(engine, writes: Iterator[int]) -> Iterator[None]:
    """Whoever commits a write once `writes` is used up, which each commit takes one of, dies before it."""

    def die(connection) -> None:
        if connection.get_execution_options().get("immediate") and next(writes, None) is None:
            raise Killed

    sa.event.listen(engine, "commit", die)
    try:
        yield
    finally:
        sa.event.remove(engine, "commit", die)
