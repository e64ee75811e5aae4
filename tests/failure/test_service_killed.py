"""A service that is killed between a night's row and its driver, and others that go on."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sweeps.bootstrap import open_service
from sweeps.core.supervision import LaunchState, Rules
from sweeps.launchers import local
from sweeps.schedules.nights import FiringState, Why
from sweeps.schedules.rule import read_rule
from sweeps.settings import Settings
from sweeps.store.firings import Firings
from sweeps.store.launches import LaunchBook
from sweeps.store.schedules import Schedules
from sweeps.supervisor.supervisor import LEASE_S
from sweeps.testing import FakeClock, store_url
from tests.contract.nights import curves_spec
from tests.failure.drive_night import LOG, drive, night_command
from tests.failure.fire import BARRIERS, services
from tests.failure.lives import ROOT
from tests.failure.verdict import assert_nothing_lost, course
from tests.forked import Forked
from tests.waiting import until

pytestmark = pytest.mark.slow  # starts and kills services and drivers

DAY_S = 86400.0
LEFT = {
    "deciding": (None, None),
    "decided": (FiringState.DUE, None),
    "beginning": (FiringState.DUE, None),
    "begun": (FiringState.RUNNING, (LaunchState.WAITING, 0)),
    "launching": (FiringState.RUNNING, (LaunchState.WAITING, 0)),
    "launched": (FiringState.RUNNING, (LaunchState.STARTING, 1)),
    "started": (FiringState.RUNNING, (LaunchState.STARTING, 1)),
}
"""By barrier: the night, and the launch of its sweep, that a service which was killed there leaves."""

BEHIND = ("decided", "begun", "launched")
CASES = [*(("sqlite", each) for each in BARRIERS), *(("postgresql", each) for each in BEHIND)]


class Service:
    """A service's process, which ticks when it is told to."""

    def __init__(self, process: Forked) -> None:
        self.process = process

    def ask(self, now: float) -> None:
        """To tick, at that time."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{now!r}\n")
        self.process.stdin.flush()

    def says(self) -> str:
        """Its next line."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


@contextmanager
def serving(*barrier: str) -> Iterator[Service]:
    """A service, which is killed in the end; its drivers are not."""
    command = ["-m", "tests.failure.fire", *barrier]
    with Forked(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield Service(process)
        finally:
            process.kill()


@pytest.fixture
def home(request, tmp_path, monkeypatch) -> Settings:
    """An empty home, which is that of all processes that are started."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("MASKSWEEP_HOME", str(tmp_path))
    url = store_url(request.param, tmp_path, f"fire{time.time_ns()}")
    monkeypatch.setenv("MASKSWEEP_STORE_URL", url)
    monkeypatch.setattr(local, "drive_command", night_command)
    return Settings.load()


@pytest.mark.parametrize(("home", "barrier"), CASES, indirect=["home"])
def test_a_service_killed_between_a_nights_row_and_its_driver_loses_and_doubles_nothing(home, barrier):
    """Two services go on at once: the night has one row, one sweep, and one driver that drives it to its end.

    The clocks of all services are a day or two behind that of drivers, which never beat too late for them.
    """
    service = open_service(home, create=True)
    schedules, firings = Schedules(service.engine), Firings(service.engine)
    book = LaunchBook(service.engine, "test", 0.0)
    spec = curves_spec(
        base={"synthetic": "curves", "crashes": 0, "nans": 0, "out_of_memory": 0},
        fidelity={"iterations": 8, "rungs": [4, 8]},
        budget={"trials": 2},
        resources={"max_concurrent": 1},
    )
    rule, added_at = read_rule({"cron": "0 22 * * *"}), time.time() - 2 * DAY_S
    fire_at = schedules.add("nightly", spec, rule, by="ann", now=added_at).next_at

    def drivers() -> list[str]:
        log = home.home / LOG
        return log.read_text().splitlines() if log.exists() else []

    with serving(barrier) as first, serving() as second:
        first.ask(fire_at)
        assert first.says() == f"at {barrier}"
        if barrier == "started":
            until(lambda: bool(drivers()))
        os.kill(first.process.pid, signal.SIGKILL)
        assert first.process.wait() == -signal.SIGKILL

        night, launch = LEFT[barrier]
        left = firings.of("nightly")
        assert [each.state for each in left] == ([] if night is None else [night])
        made = service.sweeps()
        assert [each.sweep_id for each in made] == [each.sweep_id for each in left if each.sweep_id]
        launches = [book.launch(each.sweep_id) for each in made]
        assert [(each.state, each.number) for each in launches] == ([] if launch is None else [launch])

        clock = FakeClock(fire_at + max(LEASE_S, Rules().starting_s) + 1.0)
        scheduler, supervisor = services(home, clock)

        def over() -> bool:
            """Whether night and launch are, after a tick of both services at once."""
            second.ask(clock())
            scheduler.tick()
            supervisor.tick()
            assert second.says() == "ticked"
            (sweep,), (night,) = service.sweeps(), firings.of("nightly")
            ended = book.launch(sweep.sweep_id).state is LaunchState.ENDED
            return ended and night.state is FiringState.CLOSED

        until(over)

    (night,), (sweep,) = firings.of("nightly"), service.sweeps()
    assert (night.fire_at, night.why, night.sweep_id) == (fire_at, Why.TIME, sweep.sweep_id)
    assert night.reason == "the sweep is COMPLETED: budget of 2 trials used up"
    assert schedules.get("nightly").next_at == fire_at + DAY_S
    told = [event.kind for event in schedules.events("nightly")]
    # its verdict says that nobody judged it: this driver does not
    assert told == ["schedule.added", "night.due", "night.started", "night.closed", "firing.judged"]
    told = [event.kind for event in service.events(sweep.sweep_id) if event.kind.startswith("driver.")]
    again = ["driver.dropped", "driver.launched"] if barrier == "launched" else []
    assert told == ["driver.launched", *again]
    assert drivers() == [f"{sweep.sweep_id} {book.launch(sweep.sweep_id).number}"]
    assert sweep.epoch == 1
    assert [attempt.number for attempt in service.attempts(sweep.sweep_id)] == [0, 1]
    twin = service.create(sweep.spec, fingerprint=sweep.fingerprint, now=time.time()).sweep_id
    drive(service, twin, home)
    assert_nothing_lost(service, sweep.sweep_id, undisturbed=course(service, twin))
    service.engine.dispose()
