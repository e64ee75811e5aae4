"""SIGTERM to a whole process group, as `timeout` and shells send it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sweeps.bootstrap import open_service
from sweeps.core.states import SweepState, TrialState
from sweeps.settings import Settings
from sweeps.testing import make_spec

pytestmark = pytest.mark.slow  # starts a Ray of its own

DRIVER = Path(__file__).with_name("drive_curves.py")


def test_a_signal_to_the_group_pauses_a_sweep_on_a_local_ray(tmp_path, mlflow_uri):
    """Ray is in a group of its own, so trials reach their checkpoints and the sweep can go on."""
    env = {**os.environ, "MLFLOW_TRACKING_URI": mlflow_uri}
    service = open_service(Settings.load(tmp_path, environ=env), create=True)
    spec = make_spec(fidelity={"iterations": 4000, "rungs": [4000]}, budget={"trials": 1})
    sweep_id = service.create(spec, fingerprint="0" * 64, now=time.time()).sweep_id
    command = [sys.executable, str(DRIVER), str(tmp_path), sweep_id, "local", "0.1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env, process_group=0) as driver:
        assert driver.stdout.readline() == "trial 0 RUNNING 0\n"
        os.killpg(driver.pid, signal.SIGTERM)
        driver.stdout.read()
    assert (driver.returncode, service.sweep(sweep_id).state) == (0, SweepState.PAUSED)
    assert [trial.state for trial in service.trials(sweep_id)] == [TrialState.QUEUED]
