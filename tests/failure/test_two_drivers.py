"""Two drivers of one sweep: started at once, and one that wakes up when another has its sweep."""

import os
import signal
import subprocess
import time

import pytest

from tests.failure.homes import Home, wait_for
from tests.forked import Forked
from tests.waiting import until

pytestmark = pytest.mark.slow  # joins a Ray cluster with several drivers

LEASE_S = 1.0


def test_of_two_drivers_started_at_once_one_runs(tmp_path, mlflow_uri, ray_address, source):
    """The other says in a line who has the sweep, and does nothing."""
    home = Home(
        tmp_path,
        mlflow_uri,
        dataset=None,
        base={"synthetic": "curves", "step_s": 0.1},  # the first is not to end before the second starts
        objectives=[{"metric": "segm/AP"}],
    )
    command = ["-m", "sweeps.cli", "resume", home.sweep_id, "--home", str(tmp_path)]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": home.env}
    both = [Forked([*command, "--ray-address", ray_address], **options) for _ in range(2)]
    said = [process.communicate() for process in both]
    codes = [process.returncode for process in both]
    assert sorted(codes) == [0, 2], said
    out, error = said[codes.index(2)]
    assert out == ""
    who = both[codes.index(0)].pid
    first, *_ = error.splitlines()
    assert first.startswith(f"error: sweep {home.sweep_id} is being run by another driver (pid {who} on ")
    assert home.service.sweep(home.sweep_id).epoch == 1
    home.assert_nothing_lost(home.undisturbed(source))


def test_a_driver_that_wakes_up_after_its_lease_stops(tmp_path, mlflow_uri, ray_address, source):
    """Stopped by SIGSTOP, it cannot beat; another claims the sweep; none of its writes counts any more."""
    home = Home(tmp_path, mlflow_uri)
    with home.driver(ray_address, step_s=0.05) as sleeper:
        wait_for(sleeper, "trial 0 RUNNING 2")
        os.kill(sleeper.pid, signal.SIGSTOP)
        try:
            until(lambda: time.time() - home.service.sweep(home.sweep_id).driver.beat_at > LEASE_S)
            home.finish(ray_address, lease_s=LEASE_S)
        finally:
            os.kill(sleeper.pid, signal.SIGCONT)
        _, error = sleeper.communicate()
    assert sleeper.returncode == 1
    assert f"StaleEpoch: sweep {home.sweep_id}: epoch 1 is over, another driver has taken it" in error
    epochs = [event.epoch for event in home.service.events(home.sweep_id)]
    assert epochs == sorted(epochs)
    assert home.service.sweep(home.sweep_id).epoch == 2
    home.assert_nothing_lost(home.undisturbed(source))
