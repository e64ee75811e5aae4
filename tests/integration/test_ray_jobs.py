"""Drivers as jobs of a real Ray head with its dashboard."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from runners.curves.objective import fingerprint
from sweeps.bootstrap import open_service
from sweeps.core.errors import UserError
from sweeps.core.states import SweepState
from sweeps.core.supervision import LaunchState, Rules
from sweeps.launchers.choice import make_launcher
from sweeps.launchers.launcher import LauncherUnavailable
from sweeps.launchers.local import LocalLauncher
from sweeps.launchers.ray_jobs import RayJobsLauncher
from sweeps.settings import Settings
from sweeps.store.engine import writing
from sweeps.store.launches import LaunchBook
from sweeps.store.submissions import submit
from sweeps.supervisor.supervisor import Supervisor
from sweeps.testing import make_spec
from sweeps.tracking.testing import free_port
from tests.waiting import until

pytest.importorskip("aiohttp_cors", reason="ray[default] has the dashboard")
pytestmark = pytest.mark.slow  # starts a Ray head with its dashboard
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory):
    """The address of a head's dashboard; the head ends with the process that started it.

    Ray gives a dashboard a minute to start. Where other tests keep the machine too busy for that, the head
    goes on without one; another is started then.
    """
    for _ in range(3):
        log = tmp_path_factory.mktemp("head") / "log"
        # not below pytest's directory: a dashboard's sockets have paths of 107 bytes at the most
        with (
            TemporaryDirectory(prefix="r", ignore_cleanup_errors=True) as temporary,
            head(temporary, log) as address,
        ):
            if came_up(address, log):
                yield address
                return
    pytest.fail(f"no dashboard came up: {log.read_text()}")


@contextmanager
def head(temporary, log):
    """The address of the dashboard of a head on free ports, which prints into the log."""
    from runners.cluster import QUIET_RAY

    port = free_port()
    programs = os.path.dirname(sys.executable)
    env = {**os.environ, **QUIET_RAY, "PYTHONPATH": str(ROOT), "PATH": f"{programs}:{os.environ['PATH']}"}
    command = [
        os.path.join(programs, "ray"), "start", "--head", "--block", "--include-dashboard=true",
        "--num-cpus=2", "--node-ip-address=127.0.0.1", "--dashboard-host=127.0.0.1",
        f"--dashboard-port={port}", f"--port={free_port()}",
        f"--ray-client-server-port={free_port()}", f"--dashboard-agent-listen-port={free_port()}",
        f"--temp-dir={temporary}",
    ]  # fmt: skip
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=env, stdout=output, stderr=output, start_new_session=True)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        end(process)


def end(process) -> None:
    """A head whose dashboard did not come up may not end when it is told to."""
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)


def came_up(address, log) -> bool:
    launcher = RayJobsLauncher(address, Settings.load(log.parent, environ={}))
    until(lambda: answers(launcher) or "Failed to start the dashboard" in log.read_text())
    return answers(launcher)


def answers(launcher) -> bool:
    try:
        return launcher.find("nothing", 1) is None
    except LauncherUnavailable:
        return False


def test_a_sweep_runs_as_a_job_and_is_started_again(dashboard, tmp_path, mlflow_uri, monkeypatch):
    """The job is found without being written down, runs once, can be stopped, and tells what it printed.

    One that hangs, and so does not stop when it is told to, is ended by Ray, and started again.
    """
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_uri)
    settings = Settings.load(tmp_path)
    service = open_service(settings, create=True)
    spec = make_spec(
        dataset=None,
        base={"synthetic": "curves", "step_s": 0.1, "crashes": 0, "nans": 0, "out_of_memory": 0},
        objectives=[{"metric": "segm/AP"}],
        fidelity={"iterations": 8, "rungs": [2, 4, 8]},
        budget={"trials": 5},
        resources={"max_concurrent": 1},
    )
    sweep_id = service.create(spec, fingerprint=fingerprint(spec.base), now=time.time()).sweep_id
    with writing(service.engine) as connection:
        submit(connection, sweep_id, by="ann", now=time.time())
    launcher = RayJobsLauncher(dashboard, settings)
    rules, later = Rules(starting_s=2.0, first_retry_s=0.1), [0.0]
    supervisor = Supervisor(service, launcher, lambda: time.time() + later[0], rules=rules)
    book = LaunchBook(service.engine, "test", 0.0)

    def told() -> list[str]:
        return [each.kind for each in service.events(sweep_id) if each.kind.startswith("driver.")]

    # a head that has just started refuses jobs for some seconds: such launches are given up
    until(lambda: supervisor.tick() and book.launch(sweep_id).state is LaunchState.RUNNING)
    first = book.launch(sweep_id)
    handle, number = first.handle, first.number
    assert launcher.find(sweep_id, number) == handle
    with pytest.raises(LauncherUnavailable, match="refused"):
        launcher.start(sweep_id, number)
    until(lambda: supervisor.tick() and service.measurements(sweep_id))
    launcher.stop(handle)
    until(lambda: launcher.alive(handle) is False)
    until(lambda: supervisor.tick() and service.sweep(sweep_id).epoch == 2)
    os.kill(service.sweep(sweep_id).driver.pid, signal.SIGSTOP)
    later[0] = rules.hung_s
    until(lambda: supervisor.tick() and "driver.stopped" in told())
    later[0] = 0.0  # or the next driver would seem to hang as well
    until(lambda: supervisor.tick() and book.launch(sweep_id).state is LaunchState.ENDED)
    sweep = service.sweep(sweep_id)
    assert (sweep.state, sweep.epoch) == (SweepState.COMPLETED, 3)
    assert book.launch(sweep_id).number == number + 2
    # told to stop, Ray gives it three seconds; one that hangs may wake up as its shell is killed, and pause
    ends = [kind for kind in told() if kind in ("driver.left", "driver.died")]
    assert len(ends) == 2
    assert told()[-3:] == ["driver.stopped", ends[1], "driver.launched"]
    assert "trial" in launcher.output(f"ray|masksweep-{sweep_id}-{number + 2}")


def test_a_dashboard_that_is_not_there_is_told(tmp_path):
    """Its address, and how a head gets one; nobody knows then whether a process lives."""
    launcher = RayJobsLauncher(f"http://127.0.0.1:{free_port()}", Settings.load(tmp_path, environ={}))
    with pytest.raises(LauncherUnavailable, match=r"does not answer: .*refused") as told:
        launcher.alive("ray|masksweep-parts-1")
    assert "--include-dashboard=true" in str(told.value.hint)
    assert launcher.output("ray|masksweep-parts-1") == ""
    assert launcher.alive("another launcher's") is None


def test_the_settings_name_the_launcher(tmp_path):
    """`local`, or a dashboard's address; anything else is told with both."""

    def named(text: str):
        return make_launcher(Settings.load(tmp_path, environ={"MASKSWEEP_LAUNCHER": text}))

    assert isinstance(named(""), LocalLauncher)
    assert isinstance(named("ray:http://head:8265"), RayJobsLauncher)
    for wrong, problem in [("slurm", "'slurm' is no launcher"), ("ray:head", "not the address of a Ray")]:
        with pytest.raises(UserError, match=problem):
            named(wrong)


def test_no_password_goes_into_a_job(tmp_path):
    """What a job's environment holds is shown to all who see the dashboard."""
    from sweeps.launchers.ray_jobs import _environment

    url = "postgresql://ann:secret@db/sweeps"
    settings = Settings.load(tmp_path, environ={"MASKSWEEP_STORE_URL": url, "MLFLOW_TRACKING_URI": url})
    assert set(_environment(settings)) == {"MASKSWEEP_HOME", "PYTHONUNBUFFERED"}
