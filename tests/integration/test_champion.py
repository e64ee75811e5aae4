"""Nights that are judged by their drivers, on a real Ray cluster."""

import os
import shutil
import signal
import threading
import time
from functools import partial

import pytest

from runners.champion import on_ray
from runners.driver import drive
from runners.plugin import make_worker
from sweeps.bootstrap import open_service
from sweeps.core.champion import Decision
from sweeps.core.spec import spec_document
from sweeps.core.states import SweepState
from sweeps.launchers.runner import DriveOrder
from sweeps.settings import Settings
from sweeps.store.champions import Champions
from sweeps.testing import make_spec
from tests.failure.verdict import assert_mirrored
from tests.nights import SCHEDULE, add_night, add_schedule

pytestmark = pytest.mark.slow  # joins a Ray cluster

CURVES = {"synthetic": "curves", "weights": "none", "noise": 0, "nans": 0, "out_of_memory": 0, "crashes": 0}


class Home:
    """A home with a schedule, whose nights are driven here."""

    def __init__(self, directory, mlflow_uri, spec):
        self.settings = Settings.load(directory, environ={"MLFLOW_TRACKING_URI": mlflow_uri})
        self.service = open_service(self.settings, create=True)
        self.champions, self.notes = Champions(self.service.engine), []
        add_schedule(self.service.engine, spec)

    def night(self, spec, address):
        """Drives a new night's sweep to its end; its verdict, and the sweep."""
        sweep = self.service.create(spec, fingerprint="0" * 64, now=time.time())
        add_night(self.service.engine, sweep.sweep_id, time.time())
        return self.drive(sweep, address)

    def drive(self, sweep, address):
        order = DriveOrder(
            self.service, self.settings, sweep.sweep_id, address, lambda _: None, self.notes.append
        )
        drive(order, partial(make_worker, spec_document(sweep.spec)))
        return self.champions.verdicts(SCHEDULE)[0], self.service.sweep(sweep.sweep_id)


def curves(low, high, **sections):
    return make_spec(
        base=CURVES,
        dataset=None,
        space={"solver.base_lr": {"low": low, "high": high, "log": True}},
        budget={"trials": 2},
        pruner={"type": "none"},
        **sections,
    )


def test_a_driver_judges_its_night_before_its_sweep_ends(tmp_path, mlflow_uri, ray_address):
    """The first night makes a champion, the same search again does not; the verdict comes before the end."""
    spec = curves(0.001, 0.01)
    home = Home(tmp_path, mlflow_uri, spec)
    first, sweep = home.night(spec, ray_address)
    assert (first.decision, sweep.state) == (Decision.FIRST, SweepState.COMPLETED)
    kinds = [event.kind for event in home.service.events(sweep.sweep_id)]
    assert kinds[-2:] == ["sweep.judged", "sweep.completed"]
    assert_mirrored(home.service, sweep.sweep_id, mlflow_uri)
    again, sweep = home.night(spec, ray_address)
    assert (again.decision, again.against) == (Decision.KEPT, 1)
    assert home.notes[-1] == f"schedule {SCHEDULE}: kept: {again.reason}"
    assert home.champions.champion(SCHEDULE).version == 1


def test_a_driver_that_is_stopped_while_it_judges_leaves_that_to_the_next(
    tmp_path, mlflow_uri, ray_address, monkeypatch
):
    """The sweep is not over before its night is judged; one signal ends the contest and its process."""
    spec, begun = curves(0.001, 0.01), tmp_path / "begun"
    home = Home(tmp_path, mlflow_uri, spec)
    first, _ = home.night(spec, ray_address)

    def never_ends(_):
        begun.touch()
        signal.pause()

    def interrupt():
        while not begun.exists():
            over.wait(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    over = threading.Event()
    with monkeypatch.context() as patched:
        patched.setattr(on_ray, "hold", never_ends)
        threading.Thread(target=interrupt, daemon=True).start()
        verdict, sweep = home.night(spec, ray_address)
    assert (verdict, sweep.state) == (first, SweepState.STOPPING)
    assert home.notes[-1] == "the night was not judged: the next driver does that, and ends the sweep"
    verdict, sweep = home.drive(sweep, ray_address)
    assert (verdict.decision, verdict.against, sweep.state) == (Decision.KEPT, 1, SweepState.COMPLETED)


def test_what_judges_and_hangs_is_ended(tmp_path, mlflow_uri, ray_address, monkeypatch):
    """Nobody waits for it: the verdict says that the night could not be judged."""
    spec = curves(0.001, 0.01, resources={"stall": "10s"})
    home = Home(tmp_path, mlflow_uri, spec)
    home.night(spec, ray_address)
    monkeypatch.setattr(on_ray, "hold", lambda _: threading.Event().wait())
    verdict, sweep = home.night(spec, ray_address)
    assert (verdict.decision, sweep.state) == (Decision.FAILED, SweepState.COMPLETED)
    assert "the process that evaluated them died" in verdict.reason


def test_nights_of_real_models_are_judged_on_ray(tmp_path, mlflow_uri, ray_address, parts):
    """The first night's model is champion; the same search again ties with it, image by image."""
    half = {"images": str(parts / "images")}
    spec = make_spec(
        dataset={name: {**half, "annotations": str(parts / f"{name}.json")} for name in ("train", "val")},
        space={"solver.base_lr": {"choices": [0.002]}},
        fidelity={"iterations": 12, "rungs": [12]},
        budget={"trials": 1},
        pruner={"type": "none"},
    )
    home = Home(tmp_path, mlflow_uri, spec)
    first, sweep = home.night(spec, ray_address)
    assert first.decision is Decision.FIRST, first.reason
    shutil.rmtree(home.settings.sweep_directory(sweep.sweep_id))
    second, _ = home.night(spec, ray_address)
    assert (second.decision, second.against) == (Decision.KEPT, 1), second.reason
    value = home.champions.champion(SCHEDULE).portrait.value
    assert second.document["champion"] == pytest.approx(value, abs=1e-6)
    assert second.document["candidate"] == pytest.approx(value, abs=1e-6)  # one seed, one machine
