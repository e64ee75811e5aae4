"""Signals that go to the driver's whole process group, Ray's processes in it or not."""

import contextlib
import os
import signal

import psutil
import pytest

from sweeps.core.states import SweepState, TrialState
from tests.failure.homes import Home, wait_for

pytestmark = pytest.mark.slow  # starts Ray

LONG = {
    "fidelity": {"iterations": 5000, "rungs": [2, 5000]},
    "budget": {"trials": 2},
    "pruner": {"type": "none"},
}
"""A sweep that would take minutes, unless its iterations take no time."""


def assert_goes_on(home, address, source):
    """From PAUSED to the end of a sweep that nobody stopped."""
    (trial,) = home.service.trials(home.sweep_id)
    assert home.service.sweep(home.sweep_id).state is SweepState.PAUSED
    assert (trial.state, trial.failures) == (TrialState.QUEUED, 0)
    assert 2 <= trial.checkpoint_iteration < 5000
    home.finish(address)
    home.assert_nothing_lost(home.undisturbed(source))


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_group_pauses_the_sweep_as_ctrl_c_does(
    tmp_path, mlflow_uri, ray_address, source, signum
):
    """A closed terminal or `timeout` stops at the next checkpoint; no process of Ray's is left over."""
    home = Home(tmp_path, mlflow_uri, **LONG)
    with home.driver("local", step_s=0.02, leads_group=True) as process:
        wait_for(process, "trial 0 RUNNING 2")
        rays = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, signum)
        _, error = process.communicate()
    assert process.returncode == 0, error
    (trial,) = home.service.trials(home.sweep_id)
    assert trial.checkpoint_iteration == trial.iteration
    assert len(rays) > 2
    assert psutil.wait_procs(rays, timeout=60)[1] == []
    assert_goes_on(home, ray_address, source)


def test_a_sweep_whose_ray_is_killed_ends_paused(tmp_path, mlflow_uri, ray_address, source):
    """A service manager's signal to every process reaches Ray too: nobody waits for it.

    What the workers did since their last checkpoint is done again.
    """
    home = Home(tmp_path, mlflow_uri, **LONG)
    with home.driver("local", step_s=0.02, leads_group=True) as process:
        wait_for(process, "trial 0 RUNNING 2")
        driver = psutil.Process(process.pid)
        for one in (*driver.children(recursive=True), driver):
            with contextlib.suppress(psutil.NoSuchProcess):
                one.send_signal(signal.SIGTERM)
        out, error = process.communicate()
    assert process.returncode == 130, error
    (note,) = (line for line in out.splitlines() if line.startswith("Ray was stopped"))
    assert f"resume {home.sweep_id} --home {tmp_path}" in note
    assert_goes_on(home, ray_address, source)
