"""Workers that leak are replaced between trials, and others are not; on a real Ray cluster."""

import pytest

from runners.memory import MIB
from sweeps.core.states import SweepState, TrialState
from tests.integration.home import Home

pytestmark = pytest.mark.slow  # joins a Ray cluster

TRIALS = 6


def drive(directory, mlflow_uri, address, **worker):
    """A sweep on one worker at a time; the process of each trial, in their order."""
    home = Home(
        directory,
        mlflow_uri,
        budget={"trials": TRIALS},
        pruner={"type": "none"},
        resources={"max_concurrent": 1},
    )
    home.drive(address, devices=directory / "devices.log", **worker)
    assert home.state is SweepState.COMPLETED
    assert [(t.state, t.attempt, t.failures) for t in home.trials] == [(TrialState.COMPLETED, 1, 0)] * TRIALS
    processes = {}
    for line in (directory / "devices.log").read_text().splitlines():
        _, number, pid, *_ = line.split()
        processes[int(number)] = pid
    events = [e for e in home.service.events(home.sweep_id) if e.kind == "worker.replaced"]
    return home, [processes[number] for number in range(TRIALS)], events


def test_a_process_that_leaks_is_replaced_before_the_next_trial_and_no_attempt_is_lost(
    tmp_path, mlflow_uri, ray_address
):
    """The trial that was to come begins in a new process, in its first attempt, and the event says why."""
    home, processes, events = drive(tmp_path, mlflow_uri, ray_address, leak=64 * MIB)
    first, _, second, _, third, _ = processes
    assert processes == [first, first, second, second, third, third]
    assert len({first, second, third}) == 3
    assert [(e.number, e.attempt) for e in events] == [(2, 1), (4, 1)]
    assert all(e.data["reason"].startswith("its host memory was ") for e in events)
    assert [n.split(":")[0] for n in home.notes if "replaced" in n] == [
        "the worker for trial 2 was replaced",
        "the worker for trial 4 was replaced",
    ]
    assert dict(home.iterations()) == {(n, i): 1 for n in range(TRIALS) for i in range(1, 10)}


def test_a_process_that_does_not_leak_runs_all_trials(tmp_path, mlflow_uri, ray_address):
    """Nothing is replaced needlessly: a new process costs seconds of imports."""
    _, processes, events = drive(tmp_path, mlflow_uri, ray_address)
    assert len(set(processes)) == 1
    assert events == []
