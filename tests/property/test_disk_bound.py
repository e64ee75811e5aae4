"""The disk that checkpoints take has a bound, whatever happens to a sweep."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runners.checkpoints import Shelf
from runners.retention import Retention
from sweeps.bootstrap import open_service
from sweeps.core.trial import Assignment, Decision, Failure, FailureKind, Report
from sweeps.search import Search
from sweeps.settings import Settings
from sweeps.testing import FakeClock, make_spec

SIZE = 1000
"""Bytes of a checkpoint."""


class Sweep:
    """A sweep on two workers, of which every checkpoint is weighed while it is written."""

    def __init__(self, directory: Path, finalists: int) -> None:
        self.clock, self.directory = FakeClock(), directory
        self.service = open_service(Settings.load(directory, environ={}), create=True)
        spec = make_spec(
            sampler={"type": "random", "seed": 1},
            budget={"trials": 6},
            fidelity={"iterations": 300, "rungs": [75, 150, 300]},
            checkpoints={"finalists": finalists},
            pruner={"type": "median", "startup_trials": 1},
        )
        self.sweep_id = self.service.create(spec, fingerprint="0" * 64, now=self.clock()).sweep_id
        self.finalists = finalists
        self.claim()

    def claim(self) -> None:
        """A new driver; the one before is dead, and its workers with it."""
        self.busy: list[tuple[Assignment, Shelf, list[int]]] = []
        claim = self.service.claim(self.sweep_id, self.clock.tick())
        trials = self.directory / "trials"
        retention = Retention(trials, lambda number: self.search.checkpoint(number))  # noqa: PLW0108
        self.search = Search(
            self.service,
            claim,
            directory=self.directory,
            workers=2,
            devices=0.0,
            clock=self.clock,
            on_change=retention,
        )
        retention.sweep(self.search.progress())

    def start(self) -> None:
        """A worker asks for something to do."""
        turn = self.search.next()
        if isinstance(turn, Assignment):
            self.busy.append((turn, Shelf(turn), []))

    def save(self, worker: int, ap: int) -> None:
        """A worker trains for 25 iterations, saves, and does not come to tell anybody."""
        if not self.busy:
            return
        _, shelf, at = self.busy[worker % len(self.busy)]
        shelf.tidy()
        if not at:  # its first step
            at.append(shelf.resume(lambda path: int(path.name[-7:]))[0] or 0)
        at[0] = min(at[0] + 25, 300)
        shelf.add(at[0], self.write)

    def report(self, worker: int, ap: int) -> None:
        """A worker trains, saves, and reports."""
        if not self.busy:
            return
        worker %= len(self.busy)
        self.save(worker, ap)
        assignment, _, at = self.busy[worker]
        name = f"e{assignment.epoch}a{assignment.attempt}i{at[0]:07d}"
        report = Report(
            assignment.number,
            assignment.attempt,
            at[0],
            self.clock.tick(),
            1.0,
            metrics={"segm/AP": float(ap)} if at[0] in (75, 150, 300) else None,
            checkpoint=str(Path(assignment.directory) / name),
        )
        if self.search.report(report) is Decision.STOP:
            del self.busy[worker]

    def lose(self, worker: int, ap: int) -> None:
        """A worker dies."""
        if self.busy:
            assignment, *_ = self.busy.pop(worker % len(self.busy))
            kind = (FailureKind.LOST, FailureKind.DIVERGED)[ap == 0]
            self.search.fail(assignment.number, assignment.attempt, Failure(kind, "it died"))

    def write(self, place: Path) -> None:
        """A checkpoint's files, and a look at the disk when they are there."""
        (place / "weights").write_bytes(bytes(SIZE))
        self.weigh()

    def weigh(self) -> None:
        """The bound: three checkpoints of an open trial, one of a finalist."""
        taken = sum(path.stat().st_size for path in (self.directory / "trials").glob("*/*/weights"))
        opened = sum(not trial.state.terminal for trial in self.service.trials(self.sweep_id))
        assert taken <= (3 * opened + self.finalists) * SIZE


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["start", "start", "save", "report", "report", "report", "report", "lose", "claim"]),
        st.integers(0, 1),
        st.integers(0, 9),
    ),
    min_size=20,
    max_size=80,
)


@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(STEPS, st.integers(1, 3))
def test_no_order_of_deaths_takes_more_disk_than_the_bound(steps, finalists):
    """Workers save, report and die, drivers die: an open trial has three checkpoints, a finalist one."""
    with TemporaryDirectory() as name:
        sweep = Sweep(Path(name), finalists)
        for verb, worker, ap in steps:
            match verb:
                case "start":
                    sweep.start()
                case "claim":
                    sweep.claim()
                case _:
                    getattr(sweep, verb)(worker, ap)
            sweep.weigh()
        sweep.service.engine.dispose()
