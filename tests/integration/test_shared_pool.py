"""Sweeps that share a pool: real drivers under a supervisor, on one real Ray cluster with logical GPUs."""

import time
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest

from runners.curves.objective import fingerprint
from sweeps.bootstrap import open_service
from sweeps.core.requests import RequestKind
from sweeps.core.states import AttemptState
from sweeps.core.supervision import LaunchState, Rules
from sweeps.launchers.local import LocalLauncher
from sweeps.records import AttemptRecord
from sweeps.settings import Settings
from sweeps.store.engine import writing
from sweeps.store.launches import LaunchBook
from sweeps.store.submissions import Rank, find
from sweeps.supervisor.supervisor import Supervisor
from sweeps.testing import make_spec
from tests.failure.verdict import assert_nothing_lost
from tests.waiting import until

pytestmark = pytest.mark.slow  # starts drivers

GPUS = 2
LAST = 8
"""Iterations of a trial."""


class Team:
    """A service's store and supervisor, which looks whenever somebody waits for something."""

    def __init__(self, settings: Settings, ray_address: str, quantum_s: float = 900.0) -> None:
        self.service = open_service(settings, create=True)
        self.book = LaunchBook(self.service.engine, "test", 0.0)
        self.supervisor = Supervisor(
            self.service,
            LocalLauncher(settings, ray_address),
            rules=Rules(first_retry_s=0.1),
            pool_gpus=GPUS,
            quantum_s=quantum_s,
        )

    def submit(self, trials: int, rank: Rank) -> str:
        """A sweep whose trials would fill the pool, and take 2.4 s each."""
        spec = make_spec(
            dataset=None,
            base={"synthetic": "curves", "step_s": 0.3, "crashes": 0, "nans": 0, "out_of_memory": 0},
            objectives=[{"metric": "segm/AP"}],
            fidelity={"iterations": LAST, "rungs": [2, 4, LAST]},
            pruner={"type": "none"},
            budget={"trials": trials},
            resources={"gpus_per_trial": 1, "cpus_per_trial": 0.25, "max_concurrent": GPUS},
        )
        found = fingerprint(spec.base)
        return self.service.create(spec, fingerprint=found, now=time.time(), by="ann", rank=rank).sweep_id

    def until(self, true: Callable[[], object], seconds: float = 300.0) -> None:
        """Supervises until something is so."""

        def look() -> bool:
            self.supervisor.tick()
            return bool(true())

        until(look, seconds, 0.1)

    def over(self, *sweeps: str) -> bool:
        """Whether they have ended, and their drivers' processes too."""
        launches = [self.book.launch(sweep_id) for sweep_id in sweeps]
        return all(launch and launch.state is LaunchState.ENDED for launch in launches)


@pytest.fixture
def settings(tmp_path, mlflow_uri, monkeypatch) -> Settings:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_uri)
    return Settings.load(tmp_path)


def most_at_once(attempts: Sequence[AttemptRecord]) -> int:
    """How many ran at the same time at most."""
    return max(sum(a.started_at <= b.started_at < (a.ended_at or 0) for a in attempts) for b in attempts)


def test_a_higher_priority_takes_the_pool_and_gives_it_back(settings, ray_address, mlflow_uri):
    """The lower sweep's trials pause at checkpoints, and go on from there; nothing is trained twice."""
    team = Team(settings, ray_address)
    service = team.service
    low = team.submit(6, Rank(priority=0))
    team.until(lambda: len(service.measurements(low)) >= 2)
    high = team.submit(2, Rank(priority=5))
    team.until(lambda: team.over(low, high))
    for sweep_id in (low, high):
        assert_nothing_lost(service, sweep_id, mlflow=mlflow_uri)
    assert (service.sweep(low).epoch, service.sweep(high).epoch) == (2, 1)
    (request,) = service.requests(low)
    assert (request.kind, request.reason) == (RequestKind.PAUSE, f"makes room for sweep {high}")
    with writing(service.engine) as connection:
        assert find(connection, low).held_by is None
    ours, theirs = service.attempts(low), service.attempts(high)
    assert most_at_once(theirs) == GPUS
    from_, until = min(a.started_at for a in theirs), max(a.ended_at for a in theirs)
    assert all(a.ended_at <= from_ or a.started_at >= until for a in ours), "the pool was the other's"
    paused = [a for a in ours if a.state is AttemptState.PAUSED]
    assert len(paused) == GPUS
    for trial in service.trials(low):
        parts = [a for a in ours if a.number == trial.number]
        assert [a.start_iteration for a in parts[:1]] == [0]
        assert all(after.start_iteration == before.iteration for before, after in pairwise(parts))
        assert parts[-1].iteration == LAST
