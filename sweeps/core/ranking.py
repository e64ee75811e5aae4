"""Which trial is better than which."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

from sweeps.core.budget import Goal
from sweeps.core.spec import SweepSpec
from sweeps.core.states import TrialState

Objectives = Sequence[tuple[str, Goal]]
Bounds = Sequence[tuple[str, float | None, float | None]]
"""Constraints as (metric, minimum or None, maximum or None)."""


def objectives_of(spec: SweepSpec) -> Objectives:
    """A spec's objectives as ranking takes them."""
    return [(objective.metric, Goal(objective.goal)) for objective in spec.objectives]


def bounds_of(spec: SweepSpec) -> Bounds:
    """A spec's constraints as ranking takes them."""
    return [(constraint.metric, constraint.min, constraint.max) for constraint in spec.constraints]


class Ranked(Protocol):
    """What ranking needs of a trial."""

    @property
    def number(self) -> int:
        """From 0."""

    @property
    def state(self) -> TrialState:
        """Where it is in its life."""

    @property
    def measured_iteration(self) -> int:
        """The rung at which `metrics` were measured; 0 before the first."""

    @property
    def metrics(self) -> Mapping[str, float]:
        """Of the last rung; empty before the first."""


_Trial = TypeVar("_Trial", bound=Ranked)

_GIVEN_UP = frozenset({TrialState.PRUNED, TrialState.FAILED})


def excess(metrics: Mapping[str, float], bounds: Bounds, unmeasured: float) -> list[float]:
    """By how much each bound is broken, 0 or less where it is kept.

    That is a share of the bound, so that milliseconds and millions of parameters count alike; of a bound of
    0, it is in the metric's own unit.

    Args:
        metrics: Of a trial.
        bounds: The constraints; a minimum comes before a maximum.
        unmeasured: What a bound on a metric that is not there is broken by.
    """
    broken: list[float] = []
    for name, low, high in bounds:
        value = metrics.get(name)
        if low is not None:
            broken.append(unmeasured if value is None else (low - value) / (abs(low) or 1.0))
        if high is not None:
            broken.append(unmeasured if value is None else (value - high) / (abs(high) or 1.0))
    return broken


def violation(metrics: Mapping[str, float], bounds: Bounds) -> float:
    """By how much the constraints are broken in sum; 0 if none is. What was not measured breaks them."""
    return sum(max(0.0, over) for over in excess(metrics, bounds, float("inf")))


def dominates(a: Sequence[float], b: Sequence[float]) -> bool:
    """Whether `a` is nowhere worse and somewhere better than `b`; larger is better."""
    return all(x >= y for x, y in zip(a, b, strict=True)) and tuple(a) != tuple(b)


def scores(metrics: Mapping[str, float], objectives: Objectives) -> tuple[float, ...] | None:
    """The objectives with larger as better, or None if one was not measured."""
    if any(name not in metrics for name, _ in objectives):
        return None
    return tuple(metrics[name] if goal is Goal.MAXIMIZE else -metrics[name] for name, goal in objectives)


def standing(trial: Ranked, bounds: Bounds) -> tuple[float, bool]:
    """What comes before any value, smaller first: by how much it breaks constraints, and being given up."""
    return violation(trial.metrics, bounds), trial.state in _GIVEN_UP


def leaderboard(trials: Iterable[_Trial], objectives: Objectives, bounds: Bounds = ()) -> list[_Trial]:
    """Measured trials, best first; INFEASIBLE ones have no place.

    What kept the constraints comes first, then what was not given up, then the better value: what was
    PRUNED or FAILED beats nobody who finished or may still finish. Beyond that it does not matter who trained
    longer: each value is that of a model which exists, so a trial takes the lead when it is better, not when
    it reaches the next rung. Equal values go to the earlier rung, then to the lower number. Several
    objectives are ordered by how many trials of the same standing dominate each, then by the first objective.
    """
    measured = _measured(trials, objectives)
    peers: dict[tuple[float, bool], list[tuple[float, ...]]] = {}
    for trial, got in measured:
        peers.setdefault(standing(trial, bounds), []).append(got)

    def key(pair: tuple[_Trial, tuple[float, ...]]) -> tuple[object, ...]:
        trial, got = pair
        place = standing(trial, bounds)
        beaten_by = sum(dominates(other, got) for other in peers[place]) if len(objectives) > 1 else 0
        return *place, beaten_by, *_by_value(trial, got)

    return [trial for trial, _ in sorted(measured, key=key)]


def front(trials: Iterable[_Trial], objectives: Objectives, bounds: Bounds = ()) -> list[_Trial]:
    """The Pareto front in the leaderboard's order: trials that no other of them dominates.

    Only trials that keep the constraints and were not given up are on it, so that it may be empty.
    """
    candidates = [
        (trial, got)
        for trial, got in _measured(trials, objectives)
        if standing(trial, bounds) == (0.0, False)
    ]
    found: list[tuple[_Trial, tuple[float, ...]]] = []
    # nobody is dominated by who comes later in this order
    for trial, got in sorted(candidates, key=lambda pair: _by_value(*pair)):
        if not any(dominates(other, got) for _, other in found):
            found.append((trial, got))
    return [trial for trial, _ in found]


def leader(trials: Iterable[_Trial], objectives: Objectives, bounds: Bounds = ()) -> _Trial | None:
    """The first of the leaderboard in one pass, or None if nothing is measured.

    The largest scores in order of the objectives are dominated by none: no trial need be compared with all.
    """
    measured = _measured(trials, objectives)
    if not measured:
        return None
    return min(measured, key=lambda pair: (*standing(pair[0], bounds), *_by_value(*pair)))[0]


def _measured(trials: Iterable[_Trial], objectives: Objectives) -> list[tuple[_Trial, tuple[float, ...]]]:
    return [
        (trial, got)
        for trial in trials
        if trial.state is not TrialState.INFEASIBLE and (got := scores(trial.metrics, objectives)) is not None
    ]


def _by_value(trial: Ranked, got: tuple[float, ...]) -> tuple[tuple[float, ...], int, int]:
    return tuple(-score for score in got), trial.measured_iteration, trial.number
