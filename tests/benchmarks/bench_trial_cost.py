"""What a trial costs that trains nothing, and how soon a killed sweep goes on, at a thousand trials.

One side is masksweep with its store, its mirror and its driver, the other stock Ray Tune with OptunaSearch.
Both are real processes with real actors. A cost is taken from the starts of the last trials, so that what
happens once, such as the start of Ray and of the first actors, is in neither.
"""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa

from runners.driver import drive
from runners.plugin import DetectronRunner
from runners.testing import CurveWorker
from sweeps.bootstrap import open_service
from sweeps.core.states import TrialState
from sweeps.core.trial import Decision, Suggestion
from sweeps.launchers.runner import DriveOrder
from sweeps.records import Outcome
from sweeps.samplers.seeds import trial_seed
from sweeps.settings import Settings
from sweeps.testing import make_report, make_spec
from sweeps.tracking.mirror import Mirror
from tests.benchmarks.peer_noop import known_points

ROOT = Path(__file__).parents[2]
ENV = {**os.environ, "RAY_AUTH_MODE": "disabled", "PYTHONPATH": str(ROOT)}
TRIALS = int(os.environ.get("BENCH_TRIALS", "1000"))  # where the cost is taken
WORKERS = 2
ENDED = Outcome(TrialState.COMPLETED, None, Decision.STOP)
SECTIONS = {
    "space": {
        "mask_head.upsample_stride": {"choices": [1, 2, 4]},
        "mask_head.conv_dim": {"choices": [32, 64, 128]},
        "solver.base_lr": {"low": 0.0003, "high": 0.003, "log": True},
        "solver.weight_decay": {"low": 0.001, "high": 0.1, "log": True},
        "augment.flip": {"choices": ["none", "horizontal"]},
    },
    "fidelity": {"iterations": 1, "rungs": [1]},
    "pruner": {"type": "none"},
    "resources": {"max_concurrent": WORKERS},
}


def fingerprint_of(spec):
    """As `resume` computes it; the other specs have no data, and are never looked at again."""
    return DetectronRunner().preflight(spec).fingerprint if spec.base.synthetic else "0" * 64


def filled(home, *, ended, budget, **sections):
    """A home with a sweep whose first trials ended an hour ago, as its driver and its mirror left them."""
    settings = Settings.load(home, environ={})
    service = open_service(settings, create=True)
    spec = make_spec(**{**SECTIONS, "budget": {"trials": budget}, **sections})
    before = time.time() - 3600
    sweep_id = service.create(spec, fingerprint=fingerprint_of(spec), now=before).sweep_id
    claim = service.claim(sweep_id, before)
    for number, (params, value) in enumerate(zip(*known_points(ended), strict=True)):
        service.add_trial(claim, Suggestion(number, params, trial_seed(0, number)), {}, before)
        report = make_report(number, iteration=1, at=before, metrics={"segm/AP": value})
        service.record(claim, report, outcome=ENDED, sampler_attrs={}, now=before)
    Mirror(service, settings.tracking_uri, artifact_root=settings.artifact_root).sync(sweep_id)
    return settings, service, sweep_id


def per_trial(starts, count):
    """Seconds a trial, from the starts of the last `count` and of the one before."""
    last = sorted(starts)[-count - 1 :]
    return (last[-1] - last[0]) / count


def ours(home, count):
    """Seconds a trial at the end of a thousand; those before are in the store, as if run earlier."""
    warm = 2 * WORKERS  # the first trials wait for the actors
    settings, service, sweep_id = filled(home, ended=TRIALS - count - warm, budget=TRIALS)
    drive(DriveOrder(service, settings, sweep_id, None, lambda _: None, print), partial(CurveWorker))
    return per_trial([t.started_at for t in service.trials(sweep_id)], count)


def peer(home, *arguments):
    """Starts the other side; its process leads a group of its own."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.peer_noop", str(home), *arguments]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, cwd=ROOT, env=ENV, start_new_session=True, **quiet)


def starts_of(home):
    """When the other side's trials started, by their ids, in order."""
    log = home / "starts.log"
    lines = log.read_text().splitlines() if log.exists() else []
    return {line.split()[1]: float(line.split()[0]) for line in lines if len(line.split()) == 2}


def wait_for(condition, process, limit_s):
    """Waits until `condition` gives something, or fails with the process."""
    deadline = time.monotonic() + limit_s
    while not (found := condition()):
        assert process.poll() is None, f"the process ended with {process.returncode}"
        assert time.monotonic() < deadline, f"nothing within {limit_s} s"
        time.sleep(0.02)
    return found


def kill(process):
    """Kill -9, for the process and whatever it started that is still of its group."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture(scope="module")
def reusing(tmp_path_factory):
    """Stock Tune with `reuse_actors=True`, killed once it has started a thousand trials and ten more."""
    home = tmp_path_factory.mktemp("reusing")
    process = peer(home, "run", "--trials", str(2 * TRIALS), "--reuse-actors")
    try:
        wait_for(lambda: len(starts_of(home)) >= TRIALS + 10, process, 1800)
    finally:
        kill(process)
    return home


def test_a_trial_costs_little_at_a_thousand(tmp_path, reusing):
    """At most a twentieth of stock Tune, and no more than stock Tune with `reuse_actors=True`.

    The store, and stock Tune with reuse, have a thousand trials. Without reuse those would take half an hour:
    its searcher is given all but the last ones as known evaluations, which spares it Tune's own records of
    them.
    """
    count, sample = 100, 40
    mine = ours(tmp_path / "ours", count)
    with_reuse = per_trial(list(starts_of(reusing).values())[: TRIALS + 1], count)
    fresh = tmp_path / "fresh"
    warm = 2 * WORKERS
    process = peer(fresh, "run", "--trials", str(sample + warm), "--known", str(TRIALS - sample - warm))
    assert process.wait(1800) == 0
    without = per_trial(list(starts_of(fresh).values()), sample)
    print(f"\na no-op trial at {TRIALS} trials: masksweep {1000 * mine:.0f} ms,")
    print(f"  stock Tune {1000 * without:.0f} ms: ratio {mine / without:.4f} (at most {1 / 20:.4f}),")
    print(f"  with reuse_actors {1000 * with_reuse:.0f} ms: ratio {mine / with_reuse:.3f} (at most 1)")
    assert mine / without <= 1 / 20
    assert mine / with_reuse <= 1


def test_a_killed_sweep_of_a_thousand_trials_suggests_again_within_five_seconds(tmp_path, reusing):
    """From the claim of the next driver to its first new trial; beside it `Tuner.restore` of as many."""
    base = {"synthetic": "curves", "crashes": 0, "nans": 0, "out_of_memory": 0}
    home = tmp_path / "ours"
    _, service, sweep_id = filled(home, ended=TRIALS, budget=2 * TRIALS, base=base)
    command = [sys.executable, "-m", "sweeps.cli", "resume", sweep_id, "--home", str(home)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}

    def start():
        return subprocess.Popen(command, env=ENV, cwd=ROOT, start_new_session=True, **quiet)

    def count():  # all that is asked meanwhile: reading a thousand trials again and again would take a core
        with service.engine.connect() as connection:
            return connection.execute(sa.text("SELECT count(*) FROM trials")).scalar_one()

    first = start()
    try:
        wait_for(lambda: count() >= TRIALS + 10, first, 300)
    finally:
        kill(first)
    known, began = count(), time.time()
    second = start()
    try:
        wait_for(lambda: count() > known, second, 300)
    finally:
        kill(second)
    new = service.trials(sweep_id)[known]
    claimed_at = max(e.at for e in service.events(sweep_id) if e.kind == "sweep.claimed")
    mine, mine_all = new.started_at - claimed_at, new.started_at - began

    before, began = len(starts_of(reusing)), time.time()
    process = peer(reusing, "restore")
    try:
        started = wait_for(lambda: list(starts_of(reusing).values())[before:], process, 600)[0]
    finally:
        kill(process)
    theirs = started - began
    print(f"\nresume of {known} trials after kill -9: {mine:.2f} s from claim to new trial (at most 5)")
    print(f"  from the start of the process {mine_all:.1f} s, stock Tuner.restore {theirs:.1f} s:", end=" ")
    print(f"ratio {mine_all / theirs:.2f}")
    assert mine < 5
