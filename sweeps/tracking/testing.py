"""For tests of the mirror: a sweep in a store, a real MLflow, and what that shows of the sweep."""

import atexit
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError

from search_spaces.parameters import Value
from sweeps.core.details import (
    EvaluationDetails,
    OperatingCurve,
    OperatingPoint,
    OperatingPoints,
    Reliability,
    ReliabilityBin,
    SettingScore,
    SettingScores,
)
from sweeps.core.states import SweepState, TrialState
from sweeps.core.trial import AttemptFacts, CurvePoint, Decision, Failure, FailureKind, Report, Suggestion
from sweeps.records import Outcome
from sweeps.service import SweepService
from sweeps.store.engine import open_engine
from sweeps.store.migrations import upgrade
from sweeps.testing import COMPLETED, GOES_ON, LOST, PAUSED, PRUNED, RETRIED, FakeClock, make_spec
from sweeps.tracking.client import Tracker
from sweeps.tracking.picture import ATTEMPT_TAG, PARENT_TAG, SWEEP_TAG, TRIAL_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient

Key = tuple[int, int] | None
"""(trial, attempt), or None for the sweep's own run."""


@dataclass(frozen=True)
class ShownRun:
    """A run as MLflow tells it, without ids.

    Attributes:
        name: The run's name.
        status: MLflow's.
        start_ms: Milliseconds since the Unix epoch.
        end_ms: Likewise, or None.
        params: By name.
        tags: The mirror's own, by name.
        metrics: All values of each metric as (step, milliseconds, value), in order.
        inputs: Data sets as (context, name, digest).
        artifacts: Texts, and bytes of pictures, by path.
    """

    name: str
    status: str
    start_ms: int
    end_ms: int | None
    params: dict[str, str]
    tags: dict[str, str]
    metrics: dict[str, list[tuple[int, int, float]]]
    inputs: list[tuple[str, str, str]]
    artifacts: dict[str, str | bytes]


def shown(tracking_uri: str, sweep_id: str, scratch: Path) -> dict[Key, ShownRun]:
    """All that MLflow shows of a sweep.

    Args:
        tracking_uri: Where to look.
        sweep_id: The sweep.
        scratch: A directory for downloads.

    Raises:
        AssertionError: Two runs claim to be the same attempt, or a child hangs under no parent.
    """
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    from mlflow import MlflowClient  # noqa: PLC0415

    client = MlflowClient(tracking_uri)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    found: dict[Key, ShownRun] = {}
    parents, ids = set(), set()
    for run in client.search_runs(experiments, f"tags.`{SWEEP_TAG}` = '{sweep_id}'"):
        tags, run_id = run.data.tags, run.info.run_id
        key = (int(tags[TRIAL_TAG]), int(tags[ATTEMPT_TAG])) if TRIAL_TAG in tags else None
        if key in found:
            raise AssertionError(f"two runs for {key}")
        if key is None:
            ids.add(run_id)
        else:
            parents.add(tags[PARENT_TAG])
        found[key] = ShownRun(
            name=run.info.run_name,
            status=run.info.status,
            start_ms=run.info.start_time,
            end_ms=run.info.end_time,
            params=dict(run.data.params),
            tags={name: value for name, value in tags.items() if name.startswith("masksweep.")},
            metrics={
                name: sorted((m.step, m.timestamp, m.value) for m in client.get_metric_history(run_id, name))
                for name in run.data.metrics
            },
            inputs=sorted(
                (given.tags[0].value, given.dataset.name, given.dataset.digest)
                for given in (run.inputs.dataset_inputs if run.inputs else ())
            ),
            artifacts={
                name: _content(Path(client.download_artifacts(run_id, name, str(scratch))))
                for name in _files(client, run_id)
            },
        )
    if not parents <= ids:
        raise AssertionError(f"children hang under {parents}, the parent is {ids}")
    return found


def _files(client: "MlflowClient", run_id: str, directory: str | None = None) -> Iterator[str]:
    for item in client.list_artifacts(run_id, directory):
        if item.is_dir:
            yield from _files(client, run_id, item.path)
        else:
            yield item.path


def _content(path: Path) -> str | bytes:
    data = path.read_bytes()
    try:
        return data.decode()
    except UnicodeDecodeError:  # a picture, weights
        return data


FACTS = AttemptFacts("MODEL:\n  DEVICE: cpu\n", {"torch": "2.14.1", "host": "worker-1"}, ("deconv.weight",))
"""What the attempts of a `Story` run with."""


def story_details(ap: float, *, whole: bool) -> EvaluationDetails:
    """Operating points alone, or a part of each kind: one picture or three, which take their time."""
    point = OperatingPoint(0.5, ap, ap, ap, 100 - ap)
    curve = OperatingCurve((point,), point, point)
    points = OperatingPoints(0.5, curve, {"screw M3 (left)": curve})
    if not whole:
        return EvaluationDetails(points)
    bins = (ReliabilityBin(0.4, 0.6, 10, 0.5, ap / 100),)
    setting = SettingScore(0.5, 0.05, 0.5, 100, ap)
    return EvaluationDetails(
        points,
        Reliability(bins, bins, bins),
        SettingScores("segm/AP", (setting,), setting, setting),
    )


class Story:
    """A sweep in which everything happens: trials complete, are pruned, get lost, do not build, go on.

    Args:
        directory: Where the store is, unless `store` says otherwise. Several stories may share it.
        store: URL of an empty store.
    """

    def __init__(self, directory: Path, store: str | None = None) -> None:
        engine = open_engine(store or f"sqlite:///{directory / 'store.db'}")
        upgrade(engine)
        self.service = service = SweepService(engine)
        self.tick = partial(FakeClock(1_800_000_000.25).tick, 1.125)
        space = {
            "solver.base_lr": {"low": 0.0001, "high": 0.01, "log": True},
            "augment.flip": {"choices": ["none"]},
        }
        spec = make_spec(
            name="parts nightly",
            space=space,
            fidelity={"iterations": 30, "rungs": [10, 20, 30]},
            tracking={"experiment": "parts"},
        )
        self.sweep_id = service.create(spec, fingerprint="f1" * 32, now=self.tick()).sweep_id
        self.claim = service.claim(self.sweep_id, self.tick())

    def trial(self, number: int, replicate_of: int | None = None) -> None:
        """A new trial with its first attempt."""
        own = number if replicate_of is None else replicate_of
        params: dict[str, Value] = {"solver.base_lr": 0.001 * (own + 1), "augment.flip": "none"}
        suggestion = Suggestion(number, params, number + 7)
        self.service.add_trial(self.claim, suggestion, {}, self.tick(), gpus=0.5, replicate_of=replicate_of)

    def replicate(self, number: int, of: int, ap: float, outcome: Outcome = COMPLETED) -> None:
        """A whole run of a finalist's replicate."""
        self.trial(number, of)
        self.rung(number, 1, 30, ap, outcome)

    def report(
        self, number: int, attempt: int, iteration: int, outcome: Outcome = GOES_ON, **more: Any
    ) -> None:
        """A report with a curve of the last ten iterations."""
        curve = tuple(
            CurvePoint(i, self.tick(), {"total_loss": 1 / i, "loss_mask": 0.5 / i, "lr": 0.001})
            for i in range(iteration - 9, iteration + 1, 3)
        )
        report = Report(number, attempt, iteration, self.tick(), 1.5, curve=curve, **more)
        self.service.record(self.claim, report, outcome=outcome, sampler_attrs=None, now=self.tick())

    def rung(self, number: int, attempt: int, iteration: int, ap: float, outcome: Outcome = GOES_ON) -> None:
        """A report with metrics and, of trial 0, details; the first one tells the facts."""
        metrics = {"segm/AP": ap, "segm/AP50": ap * 1.5, "segm/AP-screw M3 (left)": ap / 2}
        facts = FACTS if iteration == 10 else None
        details = story_details(ap, whole=iteration == 30) if number == 0 else None
        self.report(number, attempt, iteration, outcome, metrics=metrics, facts=facts, details=details)

    def first_half(self) -> None:
        """Trial 0 completes, 1 is pruned, 2 is lost after a rung and 3 does not build."""
        for number in range(4):
            self.trial(number)
        for iteration, ap, outcome in ((10, 11.0, GOES_ON), (20, 22.0, GOES_ON), (30, 33.5, COMPLETED)):
            self.rung(0, 1, iteration, ap, outcome)
        self.rung(1, 1, 10, 3.0, PRUNED)
        self.rung(2, 1, 10, 14.0)
        self.report(2, 1, 10, RETRIED, failure=LOST)
        broken = Failure(FailureKind.DOES_NOT_BUILD, "no such norm")
        hopeless = Outcome(TrialState.INFEASIBLE, "does_not_build: no such norm", Decision.STOP)
        report = Report(3, 1, 0, self.tick(), 0.5, failure=broken)
        self.service.record(self.claim, report, outcome=hopeless, sampler_attrs=None, now=self.tick())
        self.trial(4)
        self.rung(4, 1, 10, 12.0)

    def short(self) -> None:
        """Trial 0 completes at once, and 1 is being trained."""
        self.trial(0)
        self.trial(1)
        self.rung(0, 1, 10, 11.0, COMPLETED)
        self.rung(1, 1, 10, 12.0)

    def second_half(self) -> None:
        """Trial 2 goes on and becomes the best; 4 is paused; the sweep is cancelled, and 4 with it."""
        self.service.start_attempt(self.claim, 2, self.tick(), gpus=1.0)
        self.rung(2, 2, 10, 99.0)  # measured by the first attempt already: the first value counts
        self.rung(2, 2, 20, 30.0)
        self.rung(2, 2, 30, 44.0, COMPLETED)
        self.report(4, 1, 20, PAUSED, paused=True)
        self.service.finish(self.claim, SweepState.CANCELLED, "cancelled by ann", self.tick())


def new_database(path: Path) -> str:
    """The tracking URI of an MLflow database without runs: its migrations take a second, a copy none."""
    shutil.copy(_migrated(), path)
    return f"sqlite:///{path}"


@cache
def _migrated() -> Path:
    path = Path(tempfile.mkdtemp(prefix="masksweep-mlflow-")) / "mlflow.db"
    atexit.register(shutil.rmtree, path.parent, ignore_errors=True)
    Tracker(f"sqlite:///{path}")
    return path


def free_port() -> int:
    """A port on loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def mlflow_server(directory: Path, port: int) -> Iterator[str]:
    """An MLflow server on loopback that keeps everything in `directory`; yields its URI when it answers."""
    uri = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{directory / 'mlflow.db'}", "--workers", "1"]
    command += ["--artifacts-destination", str(directory / "artifacts")]
    environment = {
        **os.environ,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # else ten processes instead of two
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    environment.pop("PYTEST_CURRENT_TEST", None)
    with (directory / "server.log").open("ab") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        while not _answers(f"{uri}/health"):
            try:
                code = process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
            raise RuntimeError(f"mlflow server ended with {code}: {(directory / 'server.log').read_text()}")
        yield uri
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except (URLError, OSError):
        return False
