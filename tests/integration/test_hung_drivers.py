"""Drivers that are there and do nothing any more: real processes that are stopped where they are."""

import os
import signal
import threading
import time

import pytest

from sweeps.bootstrap import open_service
from sweeps.core.requests import RequestKind
from sweeps.core.states import SweepState
from sweeps.core.supervision import LaunchState, Rules
from sweeps.launchers.local import LocalLauncher
from sweeps.settings import Settings
from sweeps.store.control import SweepControl
from sweeps.store.launches import LaunchBook
from sweeps.store.submissions import Rank
from sweeps.supervisor.supervisor import Supervisor
from sweeps.testing import FakeClock, make_spec

RULES = Rules()


class Hung:
    """A submitted sweep whose driver was launched, and hears no signal but SIGKILL."""

    def __init__(self, directory) -> None:
        self.settings = Settings.load(directory, environ={})
        self.service = open_service(self.settings, create=True)
        self.clock, self.launcher = FakeClock(), LocalLauncher(self.settings)
        made = self.service.create(make_spec(), fingerprint="", now=self.clock(), rank=Rank())
        self.sweep_id = made.sweep_id
        self.supervisor = Supervisor(self.service, self.launcher, self.clock, rules=RULES)
        self.supervisor.tick()
        self.handle = self.launch.handle
        os.kill(self.pid, signal.SIGSTOP)

    @property
    def launch(self):
        return LaunchBook(self.service.engine, "test", 0.0).launch(self.sweep_id)

    @property
    def pid(self) -> int:
        return int(self.handle.split("|")[2])

    @property
    def kinds(self) -> list[str]:
        return [each.kind for each in self.service.events(self.sweep_id) if each.kind.startswith("driver.")]

    def after(self, seconds: float) -> bool:
        """Whether the process is there once the supervisor has looked so much later."""
        self.clock.tick(seconds)
        self.supervisor.tick()
        return self.launcher.alive(self.handle) is True

    def gone(self) -> None:
        """Returns once the process is."""
        end, pause = time.monotonic() + 60.0, threading.Event()
        while self.launcher.alive(self.handle):
            assert time.monotonic() < end, "it was not killed"
            pause.wait(0.02)


@pytest.fixture
def hung(tmp_path):
    made = Hung(tmp_path)
    yield made
    made.launcher.stop(made.handle, force=True)
    made.service.engine.dispose()


def test_a_driver_that_hangs_is_told_to_stop_and_then_killed(hung):
    """After a quarter of an hour without a beat, and one minute more; another one is started."""
    assert hung.after(RULES.hung_s - 1.0)
    assert hung.kinds == ["driver.launched"]
    assert hung.after(1.0)
    assert hung.kinds == ["driver.launched", "driver.stopped"]
    assert hung.after(RULES.stopping_s - 1.0)
    hung.after(1.0)
    hung.gone()
    hung.after(1.0)
    assert hung.kinds == ["driver.launched", "driver.stopped", "driver.died"]
    launch = hung.launch
    assert (launch.state, launch.failures) == (LaunchState.WAITING, 1)
    first, hung.handle = hung.handle, None
    hung.clock.tick(RULES.first_retry_s)
    hung.supervisor.tick()
    hung.handle = hung.launch.handle
    assert hung.handle not in (None, first)


def test_a_driver_of_a_cancelled_sweep_that_hangs_is_killed(hung):
    """It has two minutes to end by itself; no other one is started."""
    control = SweepControl(hung.service.engine)
    control.ask(hung.sweep_id, RequestKind.CANCEL, by="bob@lab", now=hung.clock())
    assert hung.service.sweep(hung.sweep_id).state is SweepState.CANCELLED
    assert hung.after(RULES.leaving_s - 1.0)
    assert hung.kinds == ["driver.launched"]
    assert hung.after(1.0)
    hung.after(RULES.stopping_s)
    hung.gone()
    hung.after(1.0)
    hung.after(RULES.last_retry_s)
    assert hung.kinds == ["driver.launched", "driver.stopped"]
    assert hung.launch.state is LaunchState.ENDED
