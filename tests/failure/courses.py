"""Sweeps of one spec in one store, to be disturbed, and the course of one that was not."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sweeps.core.spec import SweepSpec
from sweeps.service import SweepService
from sweeps.store.engine import open_engine
from sweeps.store.migrations import upgrade
from sweeps.testing import make_spec
from sweeps.tracking.mirror import Mirror
from sweeps.tracking.testing import new_database
from sweeps.tracking.thread import MirrorThread
from sweeps.warm.plan import WarmPlan
from tests.failure.lives import Fault, Life, Lives
from tests.failure.verdict import assert_nothing_lost, course

SPEC = make_spec(
    fidelity={"iterations": 8, "rungs": [2, 4, 8]},
    budget={"trials": 4},
    sampler={"type": "tpe", "seed": 7, "startup_trials": 2},
    pruner={"type": "median", "startup_trials": 1},
)


DATA = "0" * 64
"""The fingerprint of the data set, which nobody reads."""


class Courses:
    """Makes sweeps and starts lives of their drivers.

    Args:
        source: Of lives.
        url: The store.
        directory: Of the sweeps' directories.
        spec: Of each sweep.
        warm: What each takes over, or None.
        more: For each `Lives.live`.

    Attributes:
        service: The store.
        commits: Of a driver that is left alone.
        course: Of its sweep.
        failures: Of each of its trials, how many attempts failed.
    """

    def __init__(
        self,
        source: Lives,
        url: str,
        directory: Path,
        spec: SweepSpec = SPEC,
        *,
        warm: WarmPlan | None = None,
        **more: Any,
    ) -> None:
        self._mlflow: str | None = None
        self._mirrored: set[str] = set()
        engine = open_engine(url)
        upgrade(engine)
        self.service, self.url = SweepService(engine), url
        self._source, self._directory, self._more = source, directory, more
        self._spec, self._warm = spec, warm
        sweep_id = self.create()
        life = self.live(sweep_id, "undisturbed")
        assert life.code == 0
        assert_nothing_lost(self.service, sweep_id, self.log("undisturbed"))
        self.commits, self.course = life.commits, course(self.service, sweep_id)
        self.failures = self.failures_of(sweep_id)
        assert self.commits > 6

    def create(self) -> str:
        """A new sweep's id."""
        made = self.service.create(self._spec, fingerprint=DATA, now=time.time(), warm=self._warm)
        return made.sweep_id

    def sampled(self, commits: range) -> list[int]:
        """Which of the commits to die at: each on SQLite; on PostgreSQL each third, and the last.

        For rows about what a driver does between its commits. That a commit is whole or was none on
        either is what `test_commits.py` shows, at each.
        """
        if self.service.engine.dialect.name == "sqlite":
            return list(commits)
        return sorted({*commits[::3], commits[-1]})

    def failures_of(self, sweep_id: str) -> list[int]:
        """How many attempts failed, by trial."""
        return [trial.failures for trial in self.service.trials(sweep_id)]

    def log(self, name: str) -> Path:
        """What was trained in the directory of that name."""
        return self._directory / name / "iterations.log"

    def place(self, name: str) -> Path:
        """The sweep's directory of that name."""
        return self._directory / name

    def live(self, sweep_id: str, name: str, fault: Fault | None = None, **more: Any) -> Life:
        """One life of a driver, in the directory of that name; `more` is for `Lives.live`."""
        return self._source.live(self.url, sweep_id, self.place(name), fault, **self._more, **more)

    def mirror(self, sweep_id: str) -> None:
        """Ships to MLflow what the store has of a sweep by now. From then on MLflow is in its verdict."""
        self._mirrored.add(sweep_id)
        self._mirror().sync(sweep_id)

    @contextmanager
    def mirroring(self, sweep_id: str) -> Iterator[None]:
        """Has a sweep mirrored all the time, as its driver does: in a thread beside it."""
        self._mirrored.add(sweep_id)
        mirror, over = MirrorThread(self._mirror, sweep_id, interval_s=0.05), threading.Event()

        def tell() -> None:
            while not over.wait(0.05):
                mirror.notify()

        telling = threading.Thread(target=tell)
        mirror.start()
        telling.start()
        try:
            yield
        finally:
            over.set()
            telling.join()
            shipped = mirror.stop(60.0)
        assert shipped, mirror.problem

    def _mirror(self) -> Mirror:
        if self._mlflow is None:
            self._directory.mkdir(exist_ok=True)
            self._mlflow = new_database(self._directory / "mlflow.db")
        return Mirror(self.service, self._mlflow, artifact_root=str(self._directory / "artifacts"))

    def assert_nothing_lost(self, sweep_id: str, name: str, log: Path | None = None, **more: Any) -> None:
        """The whole verdict on a sweep that was disturbed.

        What was mirrored once is mirrored again by now, and compared with a mirror that starts from nothing.

        Args:
            sweep_id: The sweep.
            name: Of its directory.
            log: What was trained; by default, in that directory.
            more: For `verdict.assert_nothing_lost`; its course is to be the undisturbed one by default.
        """
        if sweep_id in self._mirrored:
            self.mirror(sweep_id)
            more["mlflow"] = self._mlflow
        assert_nothing_lost(
            self.service, sweep_id, log or self.log(name), **{"undisturbed": self.course, **more}
        )
