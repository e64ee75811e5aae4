"""A home with one sweep of analytic workers, driven on Ray by processes that can be killed."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from runners.curves.objective import fingerprint
from sweeps.bootstrap import open_service
from sweeps.liveness import STALE_AFTER_S
from sweeps.settings import Settings
from sweeps.testing import make_spec
from tests.failure.lives import Lives
from tests.failure.verdict import Course, assert_nothing_lost, course
from tests.forked import Forked

DRIVER = Path(__file__).with_name("drive_curves.py")
RUNGS = [2, 4, 8]


class Home:
    """The home, its store, and the one sweep in it.

    Args:
        directory: Where it is.
        mlflow_uri: Where its sweep is mirrored to.
        sections: Of the spec; by default six trials of three rungs, one at a time.
    """

    def __init__(self, directory: Path, mlflow_uri: str, **sections: Any) -> None:
        self.directory, self.mlflow_uri = directory, mlflow_uri
        self.env = {**os.environ, "MLFLOW_TRACKING_URI": mlflow_uri}
        self.settings = Settings.load(directory, environ=self.env)
        self.service = open_service(self.settings, create=True)
        short = {"fidelity": {"iterations": RUNGS[-1], "rungs": RUNGS}, "budget": {"trials": 6}}
        self.spec = make_spec(**{**short, "resources": {"max_concurrent": 1}, **sections})
        self.sweep_id = self._create()

    def _create(self) -> str:
        data = fingerprint(self.spec.base) if self.spec.base.synthetic else "0" * 64
        return self.service.create(self.spec, fingerprint=data, now=time.time()).sweep_id

    @contextmanager
    def driver(
        self,
        address: str,
        step_s: float = 0.0,
        lease_s: float = STALE_AFTER_S,
        *,
        leads_group: bool = False,
        hangs: int | None = None,
    ) -> Iterator[Forked]:
        """A driver's process; a line of its stdout is `trial 0 RUNNING 2`, or a note.

        Args:
            address: Of a Ray, or `local` for one of its own.
            step_s: Seconds that an iteration takes.
            lease_s: After which another driver takes it for dead.
            leads_group: Whether signals can be sent to its process group alone.
            hangs: A trial whose worker waits for ever before its last rung, the first time.
        """
        command = [DRIVER, self.directory, self.sweep_id, address, step_s, lease_s]
        if hangs is not None:
            command.append(hangs)
        with Forked(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.env,
            start_new_session=leads_group,
        ) as process:
            yield process

    def finish(self, address: str, lease_s: float = STALE_AFTER_S) -> None:
        """A driver that nothing happens to."""
        with self.driver(address, lease_s=lease_s) as process:
            out, error = process.communicate()
        assert process.returncode == 0, out + error

    def undisturbed(self, source: Lives) -> Course:
        """The course of the same spec, driven without Ray."""
        twin = self._create()
        life = source.live(self.settings.store_url, twin, self.settings.sweep_directory(twin))
        assert life.code == 0
        return course(self.service, twin)

    def assert_nothing_lost(self, undisturbed: Course | None) -> None:
        """The whole verdict on the sweep."""
        log = self.directory / "iterations.log"
        log = log if log.exists() else None  # what trains nothing keeps none
        assert_nothing_lost(self.service, self.sweep_id, log, undisturbed=undisturbed, mlflow=self.mlflow_uri)


def wait_for(process: Forked, line: str) -> list[str]:
    """Reads a driver's stdout up to a line; the lines before it."""
    assert process.stdout is not None
    lines = []
    for said in process.stdout:
        if said == f"{line}\n":
            return lines
        lines.append(said)
    raise AssertionError(f"the driver ended before it said {line!r}: {lines}")
