"""The driver on a real Ray cluster; the worker is analytic, so that what is tested is the driver."""

import os
import signal
import time
from pathlib import Path

import pytest

from runners.driver import drive
from sweeps.core.errors import StaleEpoch, StoreUnavailable
from sweeps.core.extension import read_extension
from sweeps.core.states import AttemptState, SweepState, TrialState
from sweeps.launchers.runner import DriveOrder
from sweeps.store.control import SweepControl
from sweeps.store.engine import writing
from tests.integration.home import Home, Interrupt

pytestmark = pytest.mark.slow  # joins a Ray cluster


def test_a_sweep_runs_to_its_end_and_no_iteration_is_done_twice(tmp_path, mlflow_uri, ray_address):
    """Every trial of the budget ends COMPLETED at full fidelity or PRUNED at a rung."""
    home = Home(tmp_path, mlflow_uri)
    home.drive(ray_address)
    assert home.state is SweepState.COMPLETED
    assert [t.number for t in home.trials] == list(range(6))
    assert {t.state for t in home.trials} <= {TrialState.COMPLETED, TrialState.PRUNED}
    assert {t.iteration for t in home.trials if t.state is TrialState.COMPLETED} == {9}
    assert {t.iteration for t in home.trials if t.state is TrialState.PRUNED} <= {1, 3}
    expected = {(t.number, i): 1 for t in home.trials for i in range(1, t.iteration + 1)}
    assert dict(home.iterations()) == expected


def test_only_the_leaders_checkpoint_is_kept(tmp_path, mlflow_uri, ray_address):
    """The disk holds one trial's checkpoints at the end, and nothing of Tune's."""
    home = Home(tmp_path, mlflow_uri)
    home.drive(ray_address)
    directory = home.settings.sweep_directory(home.sweep_id)
    leader = max(
        (t for t in home.trials if t.state is TrialState.COMPLETED), key=lambda t: t.metrics["segm/AP"]
    )
    assert [path.name for path in directory.iterdir()] == ["trials"]
    assert [path.name for path in (directory / "trials").iterdir()] == [f"{leader.number:05d}"]
    assert Path(leader.checkpoint).is_dir()


def test_each_failure_is_told_apart(tmp_path, mlflow_uri, ray_address):
    """A dead worker and a passing error are retried; what is deterministic is INFEASIBLE at once."""
    home = Home(tmp_path, mlflow_uri, pruner={"type": "none"})
    home.drive(
        ray_address, faults={0: "exit", 1: "error", 2: "diverged", 3: "out_of_memory", 4: "does_not_build"}
    )
    got = {t.number: (t.state, t.attempt, t.reason) for t in home.trials}
    assert got == {
        0: (TrialState.COMPLETED, 2, None),
        1: (TrialState.COMPLETED, 2, None),
        2: (TrialState.INFEASIBLE, 1, "diverged: planned"),
        3: (TrialState.INFEASIBLE, 1, "out_of_memory: planned (it had a full device)"),
        4: (TrialState.INFEASIBLE, 1, "does_not_build: planned"),
        5: (TrialState.COMPLETED, 1, None),
    }
    first = {a.number: a.reason for a in home.service.attempts(home.sweep_id) if a.state is AttemptState.LOST}
    assert first.pop(0).startswith("lost: the worker died: Worker unexpectedly exits")
    assert first == {1: "error: planned"}


def _no_detectron2():
    raise ImportError("No module named 'detectron2'")


def test_the_cause_of_a_dead_worker_reaches_the_user(tmp_path, mlflow_uri, ray_address, capfd):
    """A set-up that cannot make a worker says why, in a line; Ray's pages about it are not printed."""
    home = Home(tmp_path, mlflow_uri, budget={"trials": 1})
    order = DriveOrder(
        home.service, home.settings, home.sweep_id, ray_address, lambda _: None, home.notes.append
    )
    drive(order, _no_detectron2)
    (trial,) = home.trials
    assert trial.reason == "lost: the worker died: ImportError: No module named 'detectron2'"
    printed = "".join(capfd.readouterr())
    assert "Traceback" not in printed
    assert "did not complete" not in printed


def test_a_set_up_that_lets_nothing_train_ends_the_sweep(tmp_path, mlflow_uri, ray_address):
    """When every trial fails alike, the sweep says so after a few instead of working through the budget."""
    home = Home(tmp_path, mlflow_uri, budget={"trials": 40})
    home.drive(ray_address, faults=dict.fromkeys(range(40), "error"), always=True)
    sweep = home.service.sweep(home.sweep_id)
    assert (sweep.state, sweep.reason) == (SweepState.FAILED, "the first 3 trials failed: error: planned")
    assert len(home.trials) <= 4


def test_ctrl_c_pauses_at_a_checkpoint_and_resume_finishes(tmp_path, mlflow_uri, ray_address):
    """An interrupt loses nothing: the sweep goes on where it was, and no iteration is done twice."""
    home = Home(tmp_path, mlflow_uri, pruner={"type": "none"}, budget={"trials": 4})

    home.drive(ray_address, on_progress=Interrupt(lambda changed: changed.rung == 1), step_s=0.02)
    assert home.state is SweepState.PAUSED
    assert TrialState.RUNNING not in {t.state for t in home.trials}
    home.drive(ray_address)
    assert home.state is SweepState.COMPLETED
    assert [(t.number, t.state, t.iteration) for t in home.trials] == [
        (number, TrialState.COMPLETED, 9) for number in range(4)
    ]
    assert dict(home.iterations()) == {(number, i): 1 for number in range(4) for i in range(1, 10)}


def test_an_impatient_second_ctrl_c_stops_at_once(tmp_path, mlflow_uri, ray_address):
    """Workers are not waited for; the sweep is PAUSED all the same, and goes on from its checkpoints."""
    home = Home(tmp_path, mlflow_uri, pruner={"type": "none"}, budget={"trials": 2})

    def twice(progress):
        if progress.changed and progress.changed.rung == 1:
            os.kill(os.getpid(), signal.SIGINT)

    home.drive(ray_address, on_progress=twice, step_s=0.02)
    sweep = home.service.sweep(home.sweep_id)
    assert sweep.state is SweepState.PAUSED
    home.drive(ray_address)
    assert home.state is SweepState.COMPLETED


def test_ctrl_c_while_ray_shuts_down_changes_nothing(tmp_path, mlflow_uri, ray_address, monkeypatch):
    """All is saved by then: a sweep that was paused, or has ended, stays what it is."""
    import ray

    shut_down = ray.shutdown

    def interrupted():
        os.kill(os.getpid(), signal.SIGINT)
        shut_down()

    monkeypatch.setattr(ray, "shutdown", interrupted)
    home = Home(tmp_path, mlflow_uri, pruner={"type": "none"}, budget={"trials": 2})
    home.drive(ray_address, on_progress=Interrupt(lambda changed: changed.rung == 1), step_s=0.02)
    assert home.state is SweepState.PAUSED
    home.drive(ray_address)
    assert home.state is SweepState.COMPLETED


def test_a_broken_display_ends_no_sweep(tmp_path, mlflow_uri, ray_address):
    """A closed pipe, told by rich as SystemExit, costs the display alone."""
    home = Home(tmp_path, mlflow_uri, budget={"trials": 2})

    def closed(progress):
        raise SystemExit(1)

    home.drive(ray_address, on_progress=closed)
    assert home.state is SweepState.COMPLETED


def test_a_driver_that_cannot_write_leaves_its_sweep_paused(tmp_path, mlflow_uri, ray_address):
    """Trouble with the store is told as the user's to mend, and the sweep can be gone on with."""
    home = Home(tmp_path, mlflow_uri, budget={"trials": 2})

    def break_the_store(progress):
        with writing(home.service.engine) as connection:
            connection.exec_driver_sql(
                "CREATE TRIGGER IF NOT EXISTS broken BEFORE INSERT ON measurements "
                "BEGIN INSERT INTO gone VALUES (1); END"
            )

    with pytest.raises(StoreUnavailable, match="no such table"):
        home.drive(ray_address, on_progress=break_the_store, step_s=0.2)
    sweep = home.service.sweep(home.sweep_id)
    assert sweep.state is SweepState.PAUSED
    assert "no such table" in sweep.reason


def test_a_budget_ends_the_sweep_at_the_next_report(tmp_path, mlflow_uri, ray_address):
    """A target that is reached stops what runs, cancels what waits, and is the reason that is kept."""
    home = Home(
        tmp_path, mlflow_uri, budget={"trials": 50, "target": {"segm/AP": 0.0}}, pruner={"type": "none"}
    )
    home.drive(ray_address)
    sweep = home.service.sweep(home.sweep_id)
    assert sweep.state is SweepState.COMPLETED
    assert sweep.reason.startswith("target reached: segm/AP ")
    assert len(home.trials) <= 3
    assert all(t.state.terminal for t in home.trials)


def test_a_wall_limit_calls_workers_in_from_the_middle_of_a_rung(tmp_path, mlflow_uri, ray_address):
    """A rung of minutes does not hold up the end: what ran has a checkpoint and is CANCELLED."""
    home = Home(
        tmp_path,
        mlflow_uri,
        budget={"trials": 50, "wall": "1s"},
        fidelity={"iterations": 9000, "rungs": [1, 9000]},
        pruner={"type": "none"},
    )
    home.drive(ray_address, step_s=0.02)
    sweep = home.service.sweep(home.sweep_id)
    assert sweep.state.terminal
    assert sweep.reason.endswith("wall time of 1s used up")
    assert {t.state for t in home.trials} == {TrialState.CANCELLED}
    assert all(t.checkpoint_iteration == t.iteration < 9000 for t in home.trials)


def test_a_sweep_that_is_extended_while_its_workers_come_in_goes_on(tmp_path, mlflow_uri, ray_address):
    """The same driver takes it up again, with what the limit had cut off."""
    budget = {"trials": 4, "target": {"segm/AP": 0.0}}
    home = Home(tmp_path, mlflow_uri, budget=budget, pruner={"type": "none"})
    control, replies = SweepControl(home.service.engine, is_dead=lambda _: False), []

    def extend(progress):
        if home.state is SweepState.STOPPING and not replies:
            more = read_extension({"target": {"segm/AP": 99}})
            replies.append(control.extend(home.sweep_id, more, by="ann@lab", now=time.time()))

    home.drive(ray_address, on_progress=extend, step_s=0.02)
    assert replies[0].sweep.state is SweepState.STOPPING
    assert (home.state, home.service.sweep(home.sweep_id).epoch) == (SweepState.COMPLETED, 2)
    assert {(t.state, t.iteration) for t in home.trials} == {(TrialState.COMPLETED, 9)}
    assert dict(home.iterations()) == {(number, i): 1 for number in range(4) for i in range(1, 10)}


def test_a_driver_that_lost_its_sweep_stops_and_writes_nothing_more(tmp_path, mlflow_uri, ray_address):
    """Another claim ends this driver with StaleEpoch, and the store is as the other driver left it."""
    home = Home(tmp_path, mlflow_uri)
    left = []

    def usurp(progress):
        if progress.changed and progress.changed.rung == 1 and not left:
            home.service.claim(home.sweep_id, time.time())
            left.append(home.service.events(home.sweep_id)[-1].event_id)

    with pytest.raises(StaleEpoch):
        home.drive(ray_address, on_progress=usurp)
    assert [e.event_id for e in home.service.events(home.sweep_id, after=left[0])] == []
    home.drive(ray_address)
    assert (home.state, len(home.trials)) == (SweepState.COMPLETED, 6)


def test_a_trial_without_a_gpu_sees_none(tmp_path, mlflow_uri, ray_address):
    """On a cluster that has GPUs, `gpus_per_trial: 0` hides them from the trial's process."""
    home = Home(tmp_path, mlflow_uri, budget={"trials": 2}, resources={"gpus_per_trial": 0})
    home.drive(ray_address, devices=tmp_path / "devices.log")
    assert {line.split()[-1] for line in (tmp_path / "devices.log").open()} == {"-"}


def test_the_same_seed_and_one_worker_repeat_a_sweep(tmp_path, mlflow_uri, ray_address):
    """Interrupted or not, one worker and one seed give the same parameters, states and values."""
    one_at_a_time = {"resources": {"max_concurrent": 1}}
    straight = Home(tmp_path / "straight", mlflow_uri, **one_at_a_time)
    straight.drive(ray_address)
    broken = Home(tmp_path / "broken", mlflow_uri, **one_at_a_time)

    broken.drive(ray_address, on_progress=Interrupt(lambda changed: changed.number == 2), step_s=0.02)
    assert broken.state is SweepState.PAUSED
    broken.drive(ray_address)
    assert [(t.params, t.state, t.metrics) for t in broken.trials] == [
        (t.params, t.state, t.metrics) for t in straight.trials
    ]
