"""What a sweep has spent, and whether a limit of its budget is reached."""

from collections.abc import Callable, Iterable, Mapping

from sweeps.core.budget import Limits, Spent, exhausted, target_reached
from sweeps.core.improvement import Improvement
from sweeps.core.ranking import Bounds, Objectives, violation
from sweeps.core.states import TrialState
from sweeps.core.stops import Limit, Stop
from sweeps.records import TrialRecord


class Ledger:
    """Keeps the account of one driver's sweep.

    A device counts from the moment in which its attempt is handed out, reported or not: a limit must not be
    overshot because a rung is long and its worker silent.

    Args:
        limits: The sweep's.
        objectives: Its objectives, for the target and for what is better,
        bounds: and its constraints.
        share: The share of a GPU that a trial's next attempt holds.
        gpu_s: Seconds of GPUs that the attempts before now have held.
        active_s: Seconds of drivers' lives before this one.
        now: When this one began.
        trials: The sweep's so far.
    """

    def __init__(
        self,
        limits: Limits,
        objectives: Objectives,
        bounds: Bounds,
        *,
        share: Callable[[TrialRecord], float],
        gpu_s: float,
        active_s: float,
        now: float,
        trials: Iterable[TrialRecord],
    ) -> None:
        self._limits, self._bounds = limits, bounds
        self._share, self._active_s, self._began = share, active_s, now
        self._held: dict[int, float] = {}  # since when each device was last heard of
        self._shares: dict[int, float] = {}  # of the newest attempt of this driver's
        self._open: dict[int, TrialRecord] = {}
        self._worked: dict[int, float] = {}
        self._gpu_s = 0.0
        self._target: str | None = None
        self._reached: set[int] = set()
        self._improvement = Improvement(objectives, bounds)
        for trial in sorted(trials, key=lambda t: (t.ended_at or 0.0, t.number)):
            self.take(trial, now)
            self._held.pop(trial.number, None)
        self._gpu_s = gpu_s

    def take(self, trial: TrialRecord, now: float) -> None:
        """Takes in what a trial has become: it has started, or was heard of, or has ended."""
        self._gpu_s += self._newly_held_s(trial)
        self._worked[trial.number] = trial.worker_s
        own = trial.replicate_of is None
        if own and (hit := self.hits_target(trial)):
            self._target = self._target or hit
            self._reached.add(trial.number)
        self._held.pop(trial.number, None)
        self._open.pop(trial.number, None)
        if trial.state.terminal:
            if own:
                self._improvement.end(trial)
            return
        if own:
            self._open[trial.number] = trial
        if trial.state is TrialState.RUNNING:
            self._held[trial.number] = now
            self._shares[trial.number] = self._share(trial)

    def hold(self, number: int, now: float | None) -> None:
        """A trial that is handed out holds its device from now on; None: not yet, it waits for one."""
        self._held.pop(number, None)
        if now is not None:
            self._held[number] = now

    def unheard_s(self, number: int, now: float) -> float:
        """Seconds for which nothing was heard of a RUNNING trial."""
        return max(0.0, now - self._held.get(number, now))

    def spent(self, now: float, changed: TrialRecord | None = None) -> Spent:
        """What is spent by now, with a trial as its newest report leaves it."""
        # A copy, since a heartbeat asks too while the verbs change it.
        held = {number: since for number, since in [*self._held.items()] if now > since}
        gpu_s = self._gpu_s
        if changed is not None:
            held.pop(changed.number, None)
            gpu_s += self._newly_held_s(changed)
        gpu_s += sum(self._shares[number] * (now - since) for number, since in held.items())
        return Spent(gpu_s=gpu_s, wall_s=self._active_s + now - self._began)

    def _newly_held_s(self, trial: TrialRecord) -> float:
        """GPU seconds of a trial that are not counted yet: at the share of the attempt that it was at."""
        share = self._shares.get(trial.number, 0.0)
        return share * (trial.worker_s - self._worked.get(trial.number, 0.0))

    def time_is_up(self, now: float) -> bool:
        """Whether a limit that passes without a report is reached; from any thread."""
        return exhausted(self._limits, self.spent(now), now) is not None

    def extend(self, limits: Limits, trials: Iterable[TrialRecord]) -> None:
        """The limits have changed, the account has not; `trials` are the search's."""
        self._limits = limits
        hits = {trial.number: hit for trial in trials if (hit := self.hits_target(trial))}
        self._target, self._reached = next(iter(hits.values()), None), set(hits)

    def exhausted(self, now: float, changed: TrialRecord | None = None) -> Stop | None:
        """Why nothing more may run, with a trial as its newest report leaves it; None while it may."""
        return exhausted(self._limits, self.spent(now, changed), now)

    def enough(self, changed: TrialRecord | None = None) -> Stop | None:
        """Why the search needs no more trials: its target is reached, or nothing gets better; else None.

        Args:
            changed: A trial of the search, as its newest report leaves it.
        """
        target = self._target or (self.hits_target(changed) if changed else None)
        return Stop(target, Limit.TARGET) if target else self._stalled(changed)

    def hits_target(self, trial: TrialRecord) -> str | None:
        """Why the sweep may end with this trial; one that breaks a constraint is not what was looked for."""
        if trial.state is TrialState.INFEASIBLE or violation(trial.metrics, self._bounds):
            return None
        return target_reached(self._limits, trial.metrics)

    def has_reached(self, trial: TrialRecord) -> bool:
        """Whether a trial has reached the target at any rung, be it worse again by now."""
        return trial.number in self._reached or self.hits_target(trial) is not None

    def reached_at(self, number: int, metrics: Mapping[str, float]) -> None:
        """Takes in a rung that a trial passed before this driver's life."""
        if not violation(metrics, self._bounds) and target_reached(self._limits, metrics):
            self._reached.add(number)

    def _stalled(self, changed: TrialRecord | None) -> Stop | None:
        """Nothing better for long. An open trial that is about to be better is waited for."""
        trials = {**self._open, **({changed.number: changed} if changed else {})}
        why = self._improvement.stalled(self._limits.no_improvement)
        if why is None or any(self._improvement.betters(trial) for trial in trials.values()):
            return None
        return Stop(why, Limit.NO_IMPROVEMENT)
