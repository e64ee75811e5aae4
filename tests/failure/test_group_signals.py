"""Signals that go to the driver's whole process group, Ray's processes in it or not."""

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


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_group_pauses_the_sweep_as_ctrl_c_does(tmp_path, mlflow_uri, signum):
    """A closed terminal or `timeout` stops at the next checkpoint; no process of Ray's is left over."""
    env = {**os.environ, "MLFLOW_TRACKING_URI": mlflow_uri}
    settings = Settings.load(tmp_path, environ=env)
    service = open_service(settings, create=True)
    spec = make_spec(
        fidelity={"iterations": 5000, "rungs": [2, 5000]}, budget={"trials": 2}, pruner={"type": "none"}
    )
    sweep_id = service.create(spec, fingerprint="0" * 64, now=time.time()).sweep_id
    command = [sys.executable, str(DRIVER), str(tmp_path), sweep_id, "local", "0.02"]
    rays: list[psutil.Process] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=env, start_new_session=True
    ) as process:
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
