"""kill -9 of the driver: nothing is lost, nothing is trained twice beyond the last checkpoint."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from sweeps.bootstrap import open_service
from sweeps.settings import Settings
from sweeps.testing import make_spec
from tests.failure.homes import Home
from tests.failure.verdict import assert_nothing_lost, course
from tests.forked import Forked, run

pytestmark = pytest.mark.slow  # starts and kills real drivers

DRIVER = Path(__file__).with_name("drive_curves.py")
TRIALS, RUNGS = 6, [2, 4, 8]


def kill_at_line(command, number, env):
    """Runs a command, kills it with SIGKILL when it has printed its line `number`; the lines until then."""
    lines = []
    with Forked(command, stdout=subprocess.PIPE, env=env) as process:
        for line in process.stdout:
            lines.append(line)
            if len(lines) == number:
                process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL, lines
    return lines


@pytest.mark.parametrize(("workers", "deaths"), [(1, (1, 6)), (2, (4, 7))])
def test_a_driver_killed_again_ends_with_the_same_trials(  # noqa: PLR0917 - most are fixtures
    tmp_path, mlflow_uri, ray_address, source, workers, deaths
):
    """Drivers die at their start, between rungs and near the end; the last one finishes what they began.

    With one worker that is what a driver to which nothing happened suggests, measures and prunes.
    """
    env = {**os.environ, "MLFLOW_TRACKING_URI": mlflow_uri}
    settings = Settings.load(tmp_path, environ=env)
    service = open_service(settings, create=True)
    spec = make_spec(
        fidelity={"iterations": RUNGS[-1], "rungs": RUNGS},
        budget={"trials": TRIALS},
        resources={"max_concurrent": workers},
    )
    sweep_id = service.create(spec, fingerprint="0" * 64, now=time.time()).sweep_id
    command = [str(DRIVER), str(tmp_path), sweep_id, ray_address]
    for line in deaths:
        kill_at_line([*command, "0.1"], line, env)
    run([*command, "0"], check=True, env=env)
    assert service.sweep(sweep_id).epoch == 3
    undisturbed = None
    if workers == 1:
        twin = service.create(spec, fingerprint="0" * 64, now=time.time()).sweep_id
        assert source.live(settings.store_url, twin, settings.sweep_directory(twin)).code == 0
        undisturbed = course(service, twin)
    log = tmp_path / "iterations.log"
    assert_nothing_lost(service, sweep_id, log, undisturbed=undisturbed, mlflow=mlflow_uri)


def test_a_driver_that_hangs_ends_and_the_next_one_goes_on(tmp_path, mlflow_uri, ray_address, source):
    """Its heartbeat goes on, so that nobody else would notice; it says where it was, in a line and a file."""
    home = Home(tmp_path, mlflow_uri)
    home.env["STUCK_AT"] = "trial 0 RUNNING 4"
    with home.driver(ray_address) as driver:
        _, error = driver.communicate(timeout=300)
    assert driver.returncode == 1, error
    words = home.settings.sweep_directory(home.sweep_id) / "driver-hung.txt"
    reason, _, stacks = words.read_text().partition("\n\n")
    assert reason.startswith("nothing moved in it for 20s, it was in wait (threading.py:")
    assert "drive_curves.py" in stacks.split("\n\n")[0]
    assert f"error: the driver hung: {reason}; the rest is in {words}" in error.splitlines()
    del home.env["STUCK_AT"]
    home.finish(ray_address)
    assert home.service.sweep(home.sweep_id).epoch == 2
    home.assert_nothing_lost(home.undisturbed(source))


def test_a_killed_run_is_finished_by_resume(tmp_path, ray_address, parts, source):
    """`masksweep run` of real Detectron2 trials, killed after its first rung, ends complete with `resume`."""
    home = tmp_path / "home"
    spec = tmp_path / "spec.yaml"
    spec.write_text(
        "version: 1\nname: killed\n"
        f"dataset:\n  train: {{annotations: {parts}/train.json, images: {parts}/images}}\n"
        f"  val: {{annotations: {parts}/val.json, images: {parts}/images}}\n"
        "base: {preset: mask_rcnn_tiny}\nspace: {solver.base_lr: {low: 0.0003, high: 0.003, log: true}}\n"
        "fidelity: {iterations: 4, rungs: [2, 4]}\nbudget: {trials: 3}\npruner: {type: none}\n"
    )
    command = ["-m", "sweeps.cli"]
    options = ["--home", str(home), "--ray-address", ray_address]
    with Forked([*command, "run", str(spec), *options], stderr=subprocess.PIPE) as process:
        for line in process.stderr:
            if "rung 1/2" in line:
                process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    listed = run([*command, "ls", "--home", str(home), "--json"], check=True)
    (sweep,) = json.loads(listed.stdout)["sweeps"]
    assert sweep["state"] == "RUNNING"

    resumed = run([*command, "resume", sweep["sweep_id"], *options, "--json"], check=True)
    document = json.loads(resumed.stdout)
    assert document["state"] == "COMPLETED"
    assert [(t["number"], t["state"], t["iterations"]) for t in document["trials"]] == [
        (number, "COMPLETED", 4) for number in range(3)
    ]
    assert max(t["attempts"] for t in document["trials"]) == 2
    settings, sweep_id = Settings.load(home, environ={}), sweep["sweep_id"]
    service = open_service(settings)
    assert_nothing_lost(service, sweep_id, mlflow=settings.tracking_uri)
    twin = service.create(service.sweep(sweep_id).spec, fingerprint="0" * 64, now=time.time()).sweep_id
    assert source.live(settings.store_url, twin, settings.sweep_directory(twin)).code == 0
    # its analytic values are others, but these are draws that come before any value counts
    assert course(service, sweep_id).suggestions == course(service, twin).suggestions
