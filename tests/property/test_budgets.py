"""No limit of a budget is overshot by more than a rung of each worker, whatever comes when."""

import random
from dataclasses import dataclass, field
from functools import partial
from heapq import heappop, heappush
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runners.heartbeat import BEAT_S
from sweeps.bootstrap import open_service
from sweeps.core.states import SweepState, TrialState
from sweeps.core.trial import Assignment, Decision
from sweeps.search import Search
from sweeps.settings import Settings
from sweeps.testing import FakeClock, make_report, make_spec

RUNG_S, ITERATION_S = 100.0, 4.0
RUNGS = (75, 150, 300)
SHARE = 0.5


@dataclass
class Pool:
    """Workers whose rungs take up to RUNG_S seconds, and a driver that dies now and then.

    Attributes:
        obedient: They look for the pause file at each iteration; else they report at rungs alone.
        deaths: After how many heartbeats a driver dies, one after another.
        held_s: Device seconds so far, by the test's own clock.
        lived_s: Driver seconds so far.
    """

    budget: dict[str, object]
    workers: int
    seed: int
    obedient: bool
    deaths: list[int] = field(default_factory=list)
    held_s: float = 0.0
    lived_s: float = 0.0

    def run(self, directory: Path) -> None:
        """The sweep, to its end."""
        self.rng, self.clock = random.Random(self.seed), FakeClock()
        self.service = open_service(Settings.load(directory, environ={}), create=True)
        spec = make_spec(budget=self.budget, sampler={"type": "random"}, pruner={"type": "none"})
        self.sweep_id = self.service.create(spec, fingerprint="0" * 64, now=self.clock()).sweep_id
        self.began = self.clock()
        while not self._live(directory):
            pass
        self.ended = self.clock()

    def _live(self, directory: Path) -> bool:
        """One life of a driver; whether it came to the sweep's end."""
        claim = self.service.claim(self.sweep_id, self.clock())
        search = Search(
            self.service, claim, directory=directory, workers=self.workers, devices=SHARE, clock=self.clock
        )
        beats = self.deaths.pop(0) if self.deaths else None
        events: list[tuple[float, int, int | Assignment]] = []
        order, born = count(), self.clock()
        running: dict[int, float] = {}
        heappush(events, (self.clock() + BEAT_S, next(order), 0))
        while True:
            while isinstance(turn := search.next(), Assignment):
                running[turn.number] = self.clock()
                heappush(events, (self._next_report(turn), next(order), turn))
            if not running:
                break
            at, _, what = heappop(events)
            self.clock.now = at
            if isinstance(what, int):
                if what == beats:  # its workers die with it
                    self.held_s += sum(at - since for since in running.values())
                    self.lived_s += at - born
                    return False
                self.service.beat(claim, at)
                search.heed()
                heappush(events, (at + BEAT_S, next(order), what + 1))
                continue
            report = self._report(what, at - running[what.number])
            if report is None:  # an iteration without anything to tell
                heappush(events, (at + ITERATION_S, next(order), what))
                continue
            self.held_s += at - running[what.number]
            running[what.number] = at
            if search.report(report) is Decision.CONTINUE:
                self._left.pop(what.number, None)
                heappush(events, (self._next_report(what), next(order), what))
            else:
                del running[what.number]
        self.lived_s += self.clock() - born
        ending = search.ending()
        self.service.finish(claim, ending.state, ending.reason, self.clock())
        return True

    def _next_report(self, assignment: Assignment) -> float:
        self._left = getattr(self, "_left", {})
        self._left[assignment.number] = self.clock() + self.rng.uniform(1.0, RUNG_S)
        return self.clock() + ITERATION_S if self.obedient else self._left[assignment.number]

    def _report(self, assignment: Assignment, worker_s: float):
        done = max([m.iteration for m in self.service.measurements(self.sweep_id, assignment.number)] or [0])
        make = partial(make_report, assignment.number, assignment.attempt, worker_s=worker_s)
        if self.clock() >= self._left[assignment.number]:
            rung = min(rung for rung in RUNGS if rung > done)
            return make(rung, metrics={"segm/AP": self.rng.uniform(0, 50)}, checkpoint=f"/c/{rung}")
        if Path(assignment.pause_file).exists():
            return make(done, paused=True, checkpoint="/c/now")
        return None


def pools(**budgets):
    return st.builds(
        Pool,
        budget=st.fixed_dictionaries(budgets),
        workers=st.integers(1, 5),
        seed=st.integers(0, 2**32),
        obedient=st.booleans(),
        deaths=st.lists(st.integers(1, 40), max_size=2),
    )


def finished(pool: Pool) -> float:
    """Runs a pool; the longest time for which a worker may hold on once a limit is reached."""
    deaths = len(pool.deaths)
    with TemporaryDirectory() as directory:
        pool.run(Path(directory))
        sweep, trials = pool.service.sweep(pool.sweep_id), pool.service.trials(pool.sweep_id)
        pool.service.engine.dispose()
    assert sweep.state in (SweepState.COMPLETED, SweepState.FAILED)
    assert all(t.state.terminal for t in trials)
    assert len(trials) <= pool.budget["trials"]
    assert sweep.worker_s == pytest.approx(pool.held_s, abs=1e-3 + deaths * pool.workers * BEAT_S)
    if any(t.state is TrialState.CANCELLED for t in trials):
        assert sweep.reason is not None
    return BEAT_S + ITERATION_S if pool.obedient else RUNG_S


few = settings(max_examples=10, deadline=None, derandomize=True)


@few
@given(pools(trials=st.just(500), gpu_hours=st.floats(0.01, 0.15)))
def test_gpu_hours_are_overshot_by_a_rung_of_each_worker_at_most(pool):
    """Silent workers count too, and so do those that died with their driver."""
    lost_s = len(pool.deaths) * pool.workers * BEAT_S
    late_s = finished(pool)
    assert SHARE * pool.held_s <= pool.budget["gpu_hours"] * 3600 + SHARE * (pool.workers * late_s + lost_s)


@few
@given(pools(trials=st.just(500), wall=st.integers(20, 600).map("{}s".format)))
def test_wall_time_is_overshot_by_a_rung_at_most(pool):
    """Over all lives of all drivers."""
    lost_s = len(pool.deaths) * BEAT_S
    late_s = finished(pool)
    assert pool.lived_s <= float(pool.budget["wall"][:-1]) + late_s + lost_s


@few
@given(pools(trials=st.just(500), deadline=st.sampled_from(["08:02 UTC", "08:05 UTC", "08:11 UTC"])))
def test_a_deadline_is_overshot_by_a_rung_at_most(pool):
    """The clock of these tests starts at 08:00 UTC."""
    late_s = finished(pool)
    hour, minute = pool.budget["deadline"][:5].split(":")
    assert pool.ended - pool.began <= (int(hour) - 8) * 3600 + int(minute) * 60 + late_s


@few
@given(pools(trials=st.integers(2, 6)))
def test_every_trial_of_the_budget_is_run_and_no_other(pool):
    """Without another limit the number of trials is exact, whoever dies."""
    finished(pool)
    assert pool.held_s > 0
