"""kill -9 of a training worker, and of the processes that make up Ray."""

import os
import signal

import psutil
import pytest

from sweeps.core.states import AttemptState, SweepState
from tests.failure.homes import Home, wait_for

pytestmark = pytest.mark.slow  # starts Ray


def test_a_killed_worker_costs_the_way_from_its_checkpoint(tmp_path, mlflow_uri, ray_address, source):
    """The driver tries the trial again at once, before anything new, and says what the worker died of."""
    short = {"fidelity": {"iterations": 20, "rungs": [2, 10, 20]}, "budget": {"trials": 3}}
    home = Home(tmp_path, mlflow_uri, **short)
    with home.driver(ray_address, step_s=0.2) as driver:
        for line in ("trial 0 RUNNING 2", "trial 0 RUNNING 10"):
            wait_for(driver, line)
            *_, last = (tmp_path / "workers.log").read_text().splitlines()
            os.kill(int(last.split()[2]), signal.SIGKILL)
        driver.communicate()
    assert driver.returncode == 0
    lost = [a for a in home.service.attempts(home.sweep_id) if a.state is AttemptState.LOST]
    assert [(a.number, a.attempt) for a in lost] == [(0, 1), (0, 2)]
    assert all(a.reason.startswith("lost: the worker died: ") for a in lost)
    assert home.service.sweep(home.sweep_id).epoch == 1
    home.assert_nothing_lost(home.undisturbed(source))


def test_a_worker_that_hangs_is_ended_and_its_trial_goes_on(tmp_path, mlflow_uri, ray_address, source):
    """Its process is there, and does nothing any more; what it was at is in the reason and the event."""
    short = {"fidelity": {"iterations": 8, "rungs": [2, 8]}, "budget": {"trials": 2}}
    home = Home(tmp_path, mlflow_uri, resources={"max_concurrent": 1, "stall": "10s"}, **short)
    with home.driver(ray_address, hangs=0) as driver:
        out, error = driver.communicate()
    assert driver.returncode == 0, out + error
    (hung,) = (a for a in home.service.attempts(home.sweep_id) if a.state is AttemptState.LOST)
    assert (hung.number, hung.attempt) == (0, 1)
    where = "nothing moved in it for 10s, it was in wait (threading.py:"
    assert hung.reason.startswith(f"lost: the worker hung: {where}")
    (event,) = (e for e in home.service.events(home.sweep_id) if "failure" in e.data)
    assert "in step\n" in event.data["failure"]["detail"]
    assert list(tmp_path.rglob("hung-*.txt")) == []
    home.assert_nothing_lost(home.undisturbed(source))


@pytest.mark.parametrize("name", ["gcs_server", "raylet"])
def test_a_killed_ray_ends_the_driver_and_not_the_sweep(tmp_path, mlflow_uri, source, name, ray_address):
    """The head's control service, or its node's: within seconds the driver says how to go on, and ends."""
    long = {"fidelity": {"iterations": 1000, "rungs": [2, 1000]}, "budget": {"trials": 2}}
    home = Home(tmp_path, mlflow_uri, **long)
    with home.driver("local", step_s=0.02) as driver:
        wait_for(driver, "trial 0 RUNNING 2")
        (killed,) = (p for p in psutil.Process(driver.pid).children(recursive=True) if p.name() == name)
        killed.kill()
        out, error = driver.communicate()
    assert driver.returncode == 130, error
    sweep = home.service.sweep(home.sweep_id)
    assert (sweep.state, sweep.reason) == (SweepState.PAUSED, "Ray was stopped, or killed")
    assert f"resume {home.sweep_id} --home {tmp_path}" in out
    home.finish(ray_address)
    home.assert_nothing_lost(home.undisturbed(source))
