"""Two sides of a search on one virtual clock: no Ray, no training, every decision the real one.

An event loop hands trials to logical workers, and lets time pass by the iterations that they would train. The
objective is that of `base: {synthetic: curves}`. One side is masksweep's `Search` over its store, the other
stock `OptunaSearch` and `ASHAScheduler` objects, called in the order in which Ray Tune calls them.
"""

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

from runners.curves.chance import share
from runners.curves.objective import Objective
from search_spaces.parameters import CategoricalParameter, FloatParameter, IntParameter
from sweeps.bootstrap import open_service
from sweeps.core.spec import SweepSpec
from sweeps.core.trial import Assignment, Decision, Failure, FailureKind, Report
from sweeps.search import Search
from sweeps.settings import Settings
from sweeps.testing import FakeClock

PASSING = (FailureKind.LOST, FailureKind.ERROR)


@dataclass
class Job:
    """One attempt at a trial on a worker."""

    trial: int
    params: dict[str, Any]
    seed: int
    attempt: int
    iteration: int
    detail: Any = None


@dataclass
class Finding:
    """A trial at a rung, with the virtual seconds of the clock at that moment."""

    at: float
    trial: int
    params: dict[str, Any]
    iteration: int
    metrics: dict[str, float]


@dataclass
class Run:
    """What a simulation saw: every evaluation, and the iterations that all workers trained together."""

    findings: list[Finding] = field(default_factory=list)
    iterations: int = 0
    trials: int = 0


class Side(Protocol):
    """A search as the event loop sees it."""

    clock: FakeClock

    def next(self) -> Job | None:
        """What a free worker does, or None for nothing now."""

    def report(self, job: Job, metrics: dict[str, float]) -> bool:
        """Takes a rung's evaluation; whether the trial goes on."""

    def fail(self, job: Job, kind: FailureKind) -> Job | None:
        """An attempt failed; a job if the same worker tries again at once."""


def simulate(
    side: Side,
    objective: Objective,
    rungs: tuple[int, ...],
    workers: int,
    *,
    until: Callable[[Run], bool] = lambda run: False,
    spend: float = float("inf"),
) -> Run:
    """Runs until `until` says so, asked after each evaluation, or until there is nothing left to do.

    Args:
        side: Decides.
        objective: Gives what is measured, and the trouble.
        rungs: Iterations of an evaluation, ascending.
        workers: At a time; an iteration takes one second.
        until: Ends the run.
        spend: No trial starts that could take the iterations of all beyond this; those that run go on.
    """
    run, free, order = Run(), workers, itertools.count()
    ahead: dict[int, int] = {}  # iterations that a running trial may still take
    events: list[tuple[float, int, Job, FailureKind | None]] = []

    def start(job: Job) -> None:
        trouble = objective.trouble(job.params, job.seed, job.attempt)
        rung = next(r for r in rungs if r > job.iteration)
        hit = trouble is not None and job.iteration <= trouble.iteration <= rung
        goal = trouble.iteration if hit else rung
        took = goal - job.iteration
        run.iterations += took
        ahead[job.trial] = rungs[-1] - goal
        failed = trouble.kind if hit else None
        reached = Job(job.trial, job.params, job.seed, job.attempt, goal, job.detail)
        heapq.heappush(events, (side.clock.now + took, next(order), reached, failed))

    while True:
        while (
            free
            and run.iterations + sum(ahead.values()) + rungs[-1] <= spend
            and (job := side.next()) is not None
        ):
            free -= 1
            run.trials = max(run.trials, job.trial + 1)
            start(job)
        if not events:
            return run
        side.clock.now, _, job, failed = heapq.heappop(events)
        if failed is not None:
            again = side.fail(job, failed)
        else:
            metrics = objective.metrics(job.params, job.seed, job.iteration)
            run.findings.append(Finding(side.clock.now, job.trial, job.params, job.iteration, metrics))
            again = job if side.report(job, metrics) else None
            if until(run):
                return run
        if again is None:
            free += 1
            del ahead[job.trial]
        else:
            start(again)


class Masksweep:
    """The real search, over a real store."""

    def __init__(self, spec: SweepSpec, home: Path, workers: int) -> None:
        self.clock = FakeClock(0.0)
        service = open_service(Settings.load(home, environ={}), create=True)
        sweep_id = service.create(spec, fingerprint="0" * 64, now=0.0).sweep_id
        claim = service.claim(sweep_id, 0.0)
        self.search = Search(service, claim, directory=home, workers=workers, devices=1.0, clock=self.clock)

    def next(self) -> Job | None:
        turn = self.search.next()
        if not isinstance(turn, Assignment):
            return None
        return Job(turn.number, dict(turn.params), turn.seed, turn.attempt, turn.iteration)

    def report(self, job: Job, metrics: dict[str, float]) -> bool:
        return self._tell(job, metrics=metrics) is Decision.CONTINUE

    def fail(self, job: Job, kind: FailureKind) -> Job | None:
        self._tell(job, failure=Failure(kind, "planted"))
        return None

    def _tell(self, job: Job, **fields: Any) -> Decision:
        checkpoint = None if "failure" in fields else f"checkpoint-{job.iteration}"
        now = self.clock.now
        return self.search.report(
            Report(job.trial, job.attempt, job.iteration, now, 0.0, checkpoint=checkpoint, **fields)
        )


class Stock:
    """OptunaSearch and ASHA as a competent user sets them up.

    Their user's retries cost nothing but the way back to the last rung, and what would fail again is not
    retried. Without ASHA trials end at the last rung.
    """

    def __init__(self, spec: SweepSpec, seed: int, *, trials: int, asha: bool = True) -> None:
        from ray.tune.schedulers import ASHAScheduler, FIFOScheduler
        from ray.tune.search.optuna import OptunaSearch

        self.clock = FakeClock(0.0)
        self.metrics = [objective.metric for objective in spec.objectives]
        modes = ["max" if objective.goal == "maximize" else "min" for objective in spec.objectives]
        several = len(self.metrics) > 1
        self._searcher = OptunaSearch(
            stock_space(spec),
            metric=self.metrics if several else self.metrics[0],
            mode=modes if several else modes[0],
            seed=seed,
        )
        rungs, self._last = spec.fidelity.rungs, spec.fidelity.iterations
        self._scheduler = FIFOScheduler()
        if asha:
            self._scheduler = ASHAScheduler(
                time_attr="training_iteration",
                metric=self.metrics[0],
                mode=modes[0],
                max_t=rungs[-1],
                grace_period=rungs[0],
                reduction_factor=spec.pruner.reduction_factor,
            )
        self._seed, self._trials, self._count = seed, trials, 0
        self._rung: dict[int, int] = {}

    def next(self) -> Job | None:
        if self._count == self._trials:
            return None
        number, self._count = self._count, self._count + 1
        trial = SimpleNamespace(trial_id=f"t{number}")
        params = self._searcher.suggest(trial.trial_id)
        self._scheduler.on_trial_add(None, trial)
        return Job(number, params, int(share(self._seed, number) * 2**31), 1, 0, trial)

    def report(self, job: Job, metrics: dict[str, float]) -> bool:
        self._rung[job.trial] = job.iteration
        result = {**metrics, "training_iteration": job.iteration, "trial_id": job.detail.trial_id}
        self._searcher.on_trial_result(job.detail.trial_id, result)
        said = self._scheduler.on_trial_result(None, job.detail, result)
        if said != "STOP" and job.iteration < self._last:
            return True
        self._scheduler.on_trial_complete(None, job.detail, result)
        self._searcher.on_trial_complete(job.detail.trial_id, result)
        return False

    def fail(self, job: Job, kind: FailureKind) -> Job | None:
        if kind in PASSING and job.attempt < 3:
            rung = self._rung.get(job.trial, 0)
            return Job(job.trial, job.params, job.seed, job.attempt + 1, rung, job.detail)
        self._searcher.on_trial_complete(job.detail.trial_id, error=True)
        return None


def stock_space(spec: SweepSpec) -> Any:
    """The spec's space as Optuna's distributions, or by a function where there are conditions."""
    from sweeps.samplers.distributions import distribution_of

    parameters = spec.space.parameters
    if not any(parameter.when for parameter in parameters):
        return {parameter.name: distribution_of(parameter) for parameter in parameters}

    def define(trial: Any) -> None:
        params: dict[str, Any] = {}
        for p in parameters:
            if not spec.space.is_active(p, params):
                continue
            match p:
                case CategoricalParameter():
                    params[p.name] = trial.suggest_categorical(p.name, p.choices)
                case FloatParameter():
                    params[p.name] = trial.suggest_float(p.name, p.low, p.high, log=p.log, step=p.step)
                case IntParameter():
                    params[p.name] = trial.suggest_int(p.name, p.low, p.high, log=p.log, step=p.step)

    return define
