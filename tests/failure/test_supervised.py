"""Drivers under supervision: supervisors, drivers and PostgreSQL, real processes all, are killed."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sweeps.core.requests import RequestKind
from sweeps.core.states import SweepState
from sweeps.core.supervision import LaunchState
from sweeps.store.control import SweepControl
from sweeps.store.engine import writing
from sweeps.store.launches import LaunchBook
from sweeps.store.submissions import submit
from sweeps.testing import store_url
from tests.failure.homes import Home
from tests.failure.outages import Stopped
from tests.failure.verdict import assert_nothing_lost
from tests.forked import Forked
from tests.waiting import until

pytestmark = pytest.mark.slow  # starts and kills supervisors and drivers

SCRIPT = Path(__file__).with_name("supervise.py")


@pytest.fixture(params=["sqlite", "postgresql"])
def home(request, tmp_path, mlflow_uri, monkeypatch) -> Home:
    """A submitted sweep of the synthetic objective, of some seconds."""
    if request.param == "postgresql":
        monkeypatch.setenv("MASKSWEEP_STORE_URL", store_url("postgresql", tmp_path, f"sup{time.time_ns()}"))
    made = Home(
        tmp_path,
        mlflow_uri,
        dataset=None,
        base={"synthetic": "curves", "step_s": 0.05, "crashes": 0, "nans": 0, "out_of_memory": 0},
        objectives=[{"metric": "segm/AP"}],
    )
    with writing(made.service.engine) as connection:
        submit(connection, made.sweep_id, by="ann", now=time.time())
    return made


@contextmanager
def supervising(home: Home, ray_address: str, fault: str = "none") -> Iterator[Forked]:
    """A supervisor's process, which is killed in the end; its drivers are not."""
    command = [str(SCRIPT), str(home.directory), ray_address, fault]
    with Forked(command, env=home.env) as process:
        try:
            yield process
        finally:
            process.kill()


def launch(home: Home):
    return LaunchBook(home.service.engine, "test", 0.0).launch(home.sweep_id)


def kinds(home: Home) -> list[str]:
    return [event.kind for event in home.service.events(home.sweep_id)]


def measured(home: Home, more: int) -> Callable[[], bool]:
    return lambda: len(home.service.measurements(home.sweep_id)) >= more


def driver_pid(home: Home) -> int:
    return int(launch(home).handle.split("|")[2])


def test_supervisors_and_drivers_that_are_killed_lose_nothing(home, ray_address):
    """One supervisor dies between row and process; of two others one goes on, and both see a driver killed.

    The launch without a process is given up, the driver that died is started again as a new epoch.
    """
    with supervising(home, ray_address, "row") as first:
        assert first.wait() == -signal.SIGKILL
    assert (launch(home).number, launch(home).state) == (1, LaunchState.STARTING)
    with supervising(home, ray_address), supervising(home, ray_address):
        until(measured(home, 2))
        os.kill(driver_pid(home), signal.SIGKILL)
        until(lambda: launch(home).state is LaunchState.ENDED)
    assert home.service.sweep(home.sweep_id).state is SweepState.COMPLETED
    told = [kind for kind in kinds(home) if kind.startswith("driver.")]
    assert told == [
        "driver.launched", "driver.dropped", "driver.launched", "driver.died", "driver.launched"
    ]  # fmt: skip
    assert home.service.sweep(home.sweep_id).epoch == 2
    home.assert_nothing_lost(None)


@pytest.mark.parametrize("home", ["postgresql"], indirect=True)
def test_a_driver_outlives_its_supervisor_and_is_found_again(home, ray_address):
    """The supervisor dies right after the process was started; the next one finds it, and starts no other."""
    with supervising(home, ray_address, "process") as first:
        assert first.wait() == -signal.SIGKILL
    until(measured(home, 1))
    with supervising(home, ray_address):
        until(lambda: launch(home).state is LaunchState.ENDED)
    assert home.service.sweep(home.sweep_id).state is SweepState.COMPLETED
    assert kinds(home).count("driver.launched") == 1
    assert home.service.sweep(home.sweep_id).epoch == 1
    assert "trial" in (home.settings.sweep_directory(home.sweep_id) / "driver-1.log").read_text()
    home.assert_nothing_lost(None)


@pytest.mark.parametrize("home", ["sqlite"], indirect=True)
def test_a_cancelled_sweep_has_no_driver(home, ray_address):
    """Whoever cancels it, its driver ends, and no other one is started."""
    with supervising(home, ray_address):
        until(measured(home, 1))
        SweepControl(home.service.engine).ask(
            home.sweep_id, RequestKind.CANCEL, by="bob@lab", now=time.time()
        )
        until(lambda: launch(home).state is LaunchState.ENDED)
    assert kinds(home).count("driver.launched") == 1
    assert_nothing_lost(home.service, home.sweep_id, mlflow=home.mlflow_uri, state=SweepState.CANCELLED)


@pytest.mark.parametrize("home", ["postgresql"], indirect=True)
def test_postgresql_is_restarted_under_supervision(home, ray_address):
    """Supervisor and driver wait for it, and go on."""
    from sweeps.testing import _postgresql

    outage = Stopped(Path(_postgresql().pgdata))
    with supervising(home, ray_address) as supervisor:
        until(measured(home, 1))
        outage.begin()
        outage.end()
        until(lambda: launch(home).state is LaunchState.ENDED)
        assert supervisor.poll() is None
    assert home.service.sweep(home.sweep_id).state is SweepState.COMPLETED
    assert home.service.sweep(home.sweep_id).epoch == 1
    home.assert_nothing_lost(None)
