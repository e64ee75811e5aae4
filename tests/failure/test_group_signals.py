"""Signals that go to the driver's whole process group, Ray's processes in it or not."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from sweeps.bootstrap import open_service
from sweeps.core.states import SweepState, TrialState
from sweeps.settings import Settings
from sweeps.testing import make_spec

pytestmark = pytest.mark.slow  # starts Ray

DRIVER = Path(__file__).with_name("drive_curves.py")


def started(directory, mlflow_uri):
    """A sweep that would take long, and the command that drives it on a Ray of its own."""
    env = {**os.environ, "MLFLOW_TRACKING_URI": mlflow_uri}
    settings = Settings.load(directory, environ=env)
    service = open_service(settings, create=True)
    spec = make_spec(
        fidelity={"iterations": 5000, "rungs": [2, 5000]}, budget={"trials": 2}, pruner={"type": "none"}
    )
    sweep_id = service.create(spec, fingerprint="0" * 64, now=time.time()).sweep_id
    command = [sys.executable, str(DRIVER), str(directory), sweep_id, "local", "0.02"]
    options = {"stdout": subprocess.PIPE, "text": True, "env": env, "start_new_session": True}
    return service, sweep_id, subprocess.Popen(command, **options)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_group_pauses_the_sweep_as_ctrl_c_does(tmp_path, mlflow_uri, signum):
    """A closed terminal or `timeout` stops at the next checkpoint; no process of Ray's is left over."""
    rays: list[psutil.Process] = []
    service, sweep_id, process = started(tmp_path, mlflow_uri)
    with process:
        for line in process.stdout:
            if line == "trial 0 RUNNING 2\n":
                rays = psutil.Process(process.pid).children(recursive=True)
                os.killpg(process.pid, signum)
    assert process.returncode == 0
    assert service.sweep(sweep_id).state is SweepState.PAUSED
    trials = service.trials(sweep_id)
    assert {t.state for t in trials} == {TrialState.QUEUED}
    assert trials[0].checkpoint_iteration == trials[0].iteration >= 2
    assert trials[0].failures == 0
    assert len(rays) > 2
    assert psutil.wait_procs(rays, timeout=10)[1] == []


def test_a_sweep_whose_ray_is_killed_ends_paused(tmp_path, mlflow_uri):
    """A service manager's signal to every process reaches Ray too: nobody waits for it.

    What the workers did since their last checkpoint is done again.
    """
    notes = []
    service, sweep_id, process = started(tmp_path, mlflow_uri)
    with process:
        for line in process.stdout:
            if line == "trial 0 RUNNING 2\n":
                for one in (
                    *psutil.Process(process.pid).children(recursive=True),
                    psutil.Process(process.pid),
                ):
                    with contextlib.suppress(psutil.NoSuchProcess):
                        one.send_signal(signal.SIGTERM)
            if line.startswith("Ray was stopped"):
                notes.append(line)
    assert process.returncode == 130
    assert service.sweep(sweep_id).state is SweepState.PAUSED
    assert {t.state for t in service.trials(sweep_id)} == {TrialState.QUEUED}
    assert f"resume {sweep_id} --home {tmp_path}" in notes[0]
