"""A schedule's window that closes while a worker evaluates."""

import os
from collections.abc import Iterator
from contextlib import suppress

import pytest

from sweeps.core.requests import RequestKind
from sweeps.core.spec import SweepSpec
from sweeps.core.states import AttemptState, SweepState, TrialState
from sweeps.core.supervision import LaunchState
from sweeps.launchers import local
from sweeps.schedules.nights import FiringState
from sweeps.settings import Settings
from sweeps.testing import make_spec
from tests.failure.lives import ROOT
from tests.failure.verdict import assert_nothing_lost
from tests.integration.drive_held import begun_of, gate_of, held_command
from tests.integration.served_night import ServedNight, values
from tests.waiting import until

pytestmark = pytest.mark.slow  # starts drivers, which join a Ray cluster; one of them trains


def curves(_: pytest.FixtureRequest) -> SweepSpec:
    """Of two trials, which train nothing."""
    return make_spec(
        dataset=None,
        base={"synthetic": "curves", "crashes": 0, "nans": 0, "out_of_memory": 0},
        space={"solver.base_lr": {"low": 0.01, "high": 0.1}},
        fidelity={"iterations": 60, "rungs": [20, 60]},
        pruner={"type": "none"},
        budget={"trials": 2},
        resources={"max_concurrent": 1},
    )


def detectron(request: pytest.FixtureRequest) -> SweepSpec:
    """Of one real trial."""
    parts = request.getfixturevalue("parts")
    return make_spec(
        dataset={
            part: {"annotations": f"{parts}/{part}.json", "images": f"{parts}/images"}
            for part in ("train", "val")
        },
        space={"solver.base_lr": {"low": 0.0003, "high": 0.003, "log": True}},
        fidelity={"iterations": 4, "rungs": [2, 4]},
        pruner={"type": "none"},
        budget={"trials": 1},
        resources={"max_concurrent": 1},
    )


@pytest.fixture(params=[curves, detectron])
def night(request, tmp_path, mlflow_uri, ray_address, monkeypatch) -> Iterator[ServedNight]:
    """Nothing of it is left running, whatever comes."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_uri)
    monkeypatch.setattr(local, "drive_command", held_command)
    made = ServedNight(Settings.load(tmp_path), request.param(request), ray_address)
    os.mkfifo(gate_of(tmp_path))
    yield made
    with suppress(OSError):  # there is none any more, or nobody waits at it
        os.close(os.open(gate_of(tmp_path), os.O_WRONLY | os.O_NONBLOCK))
    nights = made.firings.of("nightly")
    if nights and nights[0].sweep_id and (handle := made.launch().handle):
        made.launcher.stop(handle, force=True)
    made.service.engine.dispose()


def test_a_window_that_closes_within_an_evaluation_keeps_what_it_measures(night, tmp_path):
    """The evaluation ends, its trial is checkpointed, and the next night trains nothing of it again."""
    service = night.service
    rung, last = night.spec.fidelity.rungs
    night.fire(days_ago=2)
    night.comes_to(begun_of(tmp_path).exists)
    first = night.last()
    sweep_id = first.sweep_id

    night.close()
    night.comes_to(lambda: service.open_requests(sweep_id))
    (asked,) = service.open_requests(sweep_id)
    assert (asked.kind, asked.reason) == (RequestKind.PAUSE, "the night's window has closed")
    until(lambda: night.pause_file(sweep_id).exists())  # the driver calls its workers in
    night.tick()
    assert (night.last().state, service.measurements(sweep_id)) == (FiringState.RUNNING, [])
    assert service.sweep(sweep_id).state is SweepState.RUNNING

    with gate_of(tmp_path).open("w"):
        gate_of(tmp_path).unlink()
    night.comes_to(lambda: night.last().state is FiringState.CLOSED)
    night.comes_to(lambda: night.launch().state is LaunchState.WAITING)
    assert service.sweep(sweep_id).state is SweepState.PAUSED
    (measured,) = service.measurements(sweep_id)
    assert (measured.number, measured.iteration) == (0, rung)
    (attempt,) = service.attempts(sweep_id)
    assert (attempt.state, attempt.iteration) == (AttemptState.PAUSED, rung)
    (trial,) = service.trials(sweep_id)
    assert (trial.state, trial.reason, trial.checkpoint_iteration) == (TrialState.QUEUED, "paused", rung)
    before = [(0, 1, each) for each in range(1, rung + 1)]
    assert trained(tmp_path) == before
    night.tick()
    assert night.launch().number == 1, "nothing drives it between its nights"

    night.fire(days_ago=1)
    night.comes_to(lambda: night.last().state is FiringState.CLOSED)
    second = night.last()
    assert (second.sweep_id, second.fire_at > first.fire_at) == (sweep_id, True)
    assert second.reason == f"the sweep is COMPLETED: {service.sweep(sweep_id).reason}"
    night.comes_to(lambda: night.launch().state is LaunchState.ENDED)
    after = [(0, 2, each) for each in range(rung + 1, last + 1)]
    others = [(each, 1) for each in range(1, night.spec.budget.trials)]
    rest = [(*trial, iteration) for trial in others for iteration in range(1, last + 1)]
    assert trained(tmp_path) == before + after + rest
    assert service.measurements(sweep_id)[0] == measured
    assert_nothing_lost(service, sweep_id, tmp_path / "iterations.log")
    assert values(service, sweep_id) == night.undisturbed(sweep_id, tmp_path)


def trained(home) -> list[tuple[int, int, int]]:
    """Trial, attempt and iteration of all that was trained, in its order."""
    lines = [line.split() for line in (home / "iterations.log").read_text().splitlines()]
    return [(int(number), int(attempt), int(iteration)) for number, attempt, _, iteration in lines]
