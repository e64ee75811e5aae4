"""Pause and cancel from another process, while a real driver trains on a real Ray, and when it was killed."""

import json
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
from tests.failure.verdict import assert_nothing_lost
from tests.forked import Forked, run

pytestmark = pytest.mark.slow  # starts real drivers

DRIVER = Path(__file__).with_name("drive_curves.py")


class Home:
    """A sweep of trials that would take minutes, with a checkpoint at iteration 2."""

    def __init__(self, directory, mlflow_uri, address, trials=2, iterations=5000):
        self.directory, self.mlflow_uri = directory, mlflow_uri
        self.env = {**os.environ, "MLFLOW_TRACKING_URI": mlflow_uri}
        self.service = open_service(Settings.load(directory, environ=self.env), create=True)
        spec = make_spec(
            fidelity={"iterations": iterations, "rungs": [2, iterations]},
            budget={"trials": trials},
            pruner={"type": "none"},
        )
        self.sweep_id = self.service.create(spec, fingerprint="0" * 64, now=time.time()).sweep_id
        self.command = [str(DRIVER), str(directory), self.sweep_id, address, "0.02"]

    def drive(self):
        """A driver, once its first trial is at iteration 2."""
        process = Forked(self.command, stdout=subprocess.PIPE, env=self.env)
        for line in process.stdout:
            if line == "trial 0 RUNNING 2\n":
                return process
        raise AssertionError("the driver ended early")

    def masksweep(self, *words):
        """The exit code, stdout and stderr of a command on this sweep."""
        command = ["-m", "sweeps.cli", words[0], self.sweep_id, *words[1:]]
        done = run([*command, "--home", str(self.directory)], env=self.env)
        return done.returncode, done.stdout, done.stderr

    def assert_nothing_lost(self, state):
        """The verdict on a sweep that has ended, with MLflow's."""
        log = self.directory / "iterations.log"
        assert_nothing_lost(self.service, self.sweep_id, log, mlflow=self.mlflow_uri, state=state)

    @property
    def sweep(self):
        return self.service.sweep(self.sweep_id)

    @property
    def states(self):
        return {trial.state for trial in self.service.trials(self.sweep_id)}


@pytest.fixture
def home(tmp_path, mlflow_uri, ray_address):
    return Home(tmp_path, mlflow_uri, ray_address)


def test_a_live_driver_pauses_when_another_process_asks(home):
    """`pause --wait` returns when every worker is in, at a checkpoint between two rungs; then it cancels."""
    with home.drive() as driver:
        code, out, _ = home.masksweep("pause", "--wait", "--json")
        document = json.loads(out)
        said = driver.stdout.read()
    assert (code, driver.returncode) == (0, 0)
    assert (document["answer"], document["state"], document["request"]) == ("done", "PAUSED", "pause")
    assert home.sweep.reason == document["reason"] == f"paused by {document['by']}"
    assert f"{document['by']} asked to pause the sweep: stopping at the next checkpoint" in said
    trials = home.service.trials(home.sweep_id)
    assert home.states == {TrialState.QUEUED}
    assert trials[0].checkpoint_iteration == trials[0].iteration >= 2
    assert trials[0].iteration < 5000

    code, out, err = home.masksweep("pause")
    assert (code, out) == (0, "")
    assert err.startswith(f"sweep {home.sweep_id} is PAUSED already: paused by ")
    assert f"hint: masksweep resume {home.sweep_id}" in err.replace(f"{Path(sys.executable).parent}/", "")
    code, _, err = home.masksweep("cancel", "--reason", "not worth it")
    told, _, hint = err.partition("\n\nhint: ")
    assert (code, told) == (0, f"sweep {home.sweep_id} is CANCELLED: not worth it")
    assert f"mirror {home.sweep_id} " in hint
    assert hint.endswith(" shows it in MLflow too\n")
    assert home.masksweep("mirror")[0] == 0
    home.assert_nothing_lost(SweepState.CANCELLED)
    code, _, err = home.masksweep("pause")
    assert code == 2
    assert err.startswith(f"error: sweep {home.sweep_id} is CANCELLED: there is nothing to pause\n")


def test_a_live_driver_cancels_when_another_process_asks(home):
    """What runs stops at its next iteration, and everything open is CANCELLED with the reason given."""
    with home.drive() as driver:
        code, _, err = home.masksweep("cancel", "--wait", "--reason", "too slow")
    assert (code, driver.returncode) == (0, 0)
    assert err.splitlines() == [
        f"sweep {home.sweep_id}: its driver (pid {driver.pid} on {os.uname().nodename}) "
        "will cancel it at the next checkpoints",
        f"sweep {home.sweep_id} is CANCELLED: too slow",
    ]
    assert home.sweep.reason == "too slow"
    assert home.states == {TrialState.CANCELLED}
    home.assert_nothing_lost(SweepState.CANCELLED)


@pytest.mark.parametrize("waiting", [False, True])
def test_a_driver_killed_before_it_saw_the_request(home, waiting):
    """kill -9 between the request and its taking: the next driver, or whoever waits, carries it out."""
    with home.drive() as driver:
        driver.send_signal(signal.SIGSTOP)
        code, out, _ = home.masksweep("cancel", "--json")
        assert (code, json.loads(out)["answer"], home.sweep.state) == (0, "asked", SweepState.RUNNING)
        driver.kill()
        driver.stdout.close()
    if waiting:
        assert home.masksweep("cancel", "--wait")[0] == 0
        assert home.masksweep("mirror")[0] == 0
    else:
        run(home.command, check=True, env=home.env)
    assert home.states == {TrialState.CANCELLED}
    home.assert_nothing_lost(SweepState.CANCELLED)


@pytest.fixture
def short(tmp_path, mlflow_uri, ray_address):
    """A sweep of one trial of two seconds."""
    return Home(tmp_path, mlflow_uri, ray_address, trials=1, iterations=100)


def ended(home):
    """How many trials have ended, and all of them COMPLETED."""
    trials = home.service.trials(home.sweep_id)
    assert {trial.state for trial in trials} == {TrialState.COMPLETED}
    return len(trials)


def test_a_live_driver_goes_on_with_what_another_process_adds(short):
    """It ends when the larger budget is spent, and says who extended it."""
    with short.drive() as driver:
        driver.send_signal(signal.SIGSTOP)  # else it may end before the command has started
        code, out, _ = short.masksweep("extend", "--trials", "2", "--json")
        driver.send_signal(signal.SIGCONT)
        said = driver.stdout.read()
    document = json.loads(out)
    assert (code, document["driven"], document["budget"]["trials"]) == (0, True, 3)
    assert "extended the sweep: 2 trials more\n" in said
    assert (short.sweep.state, short.sweep.reason) == (SweepState.COMPLETED, "budget of 3 trials used up")
    assert ended(short) == 3
    short.assert_nothing_lost(SweepState.COMPLETED)


def test_an_extension_survives_the_driver_and_opens_a_sweep_that_has_ended(short):
    """kill -9 before the driver heard of it; then again after the end, and twice under one key."""
    with short.drive() as driver:
        driver.send_signal(signal.SIGSTOP)
        assert short.masksweep("extend", "--trials", "1", "--key", "one")[0] == 0
        driver.kill()
        driver.stdout.close()
    run(short.command, check=True, env=short.env)
    assert (short.sweep.state, ended(short)) == (SweepState.COMPLETED, 2)

    code, _, err = short.masksweep("extend", "--trials", "1", "--key", "one")
    assert (code, err.splitlines()[0]) == (
        0,
        f"sweep {short.sweep_id} was extended under that key already",
    )
    code, _, err = short.masksweep("extend", "--wall", "1h")
    assert code == 2
    assert err == (
        f"error: sweep {short.sweep_id} is COMPLETED, another limit ended it: budget of 2 trials used up\n"
        "\nhint: extend it by --trials too\n"
    )
    code, _, err = short.masksweep("extend", "--trials", "0", "--wall", "2")
    assert (code, err.splitlines()) == (
        2,
        [
            f"extend {short.sweep_id}: 2 problems",
            "  --trials: got 0, but needs a whole number from 1 to 100000",
            "  --wall: got 2, but needs a duration such as 2h, 90m or 1h30m",
            "      hint: say the unit: h, m or s",
        ],
    )
    code, _, err = short.masksweep("extend", "--trials", "1")
    assert code == 0
    assert err.startswith(f"sweep {short.sweep_id}: 1 trial more, 3 in all\n\nhint: ")
    assert short.sweep.state is SweepState.PAUSED
    run(short.command, check=True, env=short.env)
    assert ended(short) == 3
    short.assert_nothing_lost(SweepState.COMPLETED)
