"""Decides what a new sweep takes over from earlier ones. Pure: the same rows give the same plan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import assert_never

from sweeps.core.ranking import bounds_of, leaderboard, objectives_of
from sweeps.core.states import TrialState
from sweeps.core.trial import Measurement
from sweeps.records import TrialRecord
from sweeps.warm.comparable import Setting, difference, judged_metrics, same_device
from sweeps.warm.plan import KnownTrial, Origin, Rerun, WarmPlan, WarmSummary
from sweeps.warm.projection import Projection, projected

_TWICE = "parameters that another has"


@dataclass(frozen=True, slots=True)
class Source:
    """An earlier sweep.

    Attributes:
        sweep_id: Its id.
        setting: What its values depend on.
        trials: All of them.
        measurements: All of them.
    """

    sweep_id: str
    setting: Setting
    trials: Sequence[TrialRecord]
    measurements: Sequence[Measurement]


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A trial that may be taken over, as ranking takes it."""

    origin: Origin
    state: TrialState
    metrics: Mapping[str, float]
    measured_iteration: int
    readings: tuple[tuple[int, Mapping[str, float]], ...]
    fit: Projection
    differs: str | None

    @property
    def number(self) -> int:
        return self.origin.number

    @property
    def key(self) -> tuple[tuple[str, str], ...]:
        """The same for equal parameters."""
        return tuple(sorted((name, repr(value)) for name, value in self.fit.params.items()))

    @property
    def rerun_reason(self) -> str | None:
        """Why its values do not count as they are, or None if they do."""
        if self.differs is None and self.fit.missing:
            return f"{self.fit.missing[0]} was not searched there"
        return self.differs


def take_over(new: Setting, sources: Sequence[Source]) -> WarmPlan:
    """What a new sweep takes over.

    A trial whose values can be compared, and that has the parameters that the new space asks for and no
    other, is known as it is; another whose parameters are of the new space is to be run again. INFEASIBLE
    trials are known where all is equal, and never run again. Equal parameters are taken once.

    The best are those by the new sweep's objectives and constraints. Values that cannot be compared are not:
    the best of each source come in turn, those of comparable sources together.

    Args:
        new: The new sweep, with a `warm_start` in its spec.
        sources: Each once.
    """
    start = new.spec.warm_start
    if start is None:
        raise ValueError(f"{new.spec.name}: there is no warm start")
    unused: Counter[str] = Counter()
    groups: dict[str | None, list[_Candidate]] = {None: []}  # comparable ones, then each other source
    infeasible: list[_Candidate] = []
    for source in sources:
        differs = difference(new, source.setting)
        group = groups.setdefault(None if differs is None else source.sweep_id, [])
        for candidate in _candidates(new, source, differs):
            why = _no_value(new, source, candidate)
            if why is None:
                (infeasible if candidate.state is TrialState.INFEASIBLE else group).append(candidate)
            elif start.best is None:
                unused[why] += 1
    objectives, bounds = objectives_of(new.spec), bounds_of(new.spec)
    orders = [leaderboard(group, objectives, bounds) for group in groups.values()]
    ranked = [candidate for row in zip_longest(*orders) for candidate in row if candidate is not None]
    if start.best is None:
        ranked += infeasible
    taken = _taken(ranked, start.best, unused)
    return _plan(sources, taken, unused)


def _candidates(new: Setting, source: Source, differs: str | None) -> Iterator[_Candidate]:
    judged = judged_metrics(new.spec)
    readings: dict[int, list[tuple[int, Mapping[str, float]]]] = {}
    for each in source.measurements:
        kept = {name: value for name, value in each.metrics.items() if name in judged}
        readings.setdefault(each.number, []).append((each.iteration, kept))
    for trial in source.trials:
        yield _Candidate(
            Origin(source.sweep_id, trial.number),
            trial.state,
            trial.metrics,
            trial.measured_iteration,
            tuple(readings.get(trial.number, ())),
            projected(new.spec.space, trial.params),
            differs,
        )


def _no_value(new: Setting, source: Source, candidate: _Candidate) -> str | None:
    """Why a trial has nothing to tell, whatever its parameters; None if it has."""
    match candidate.state:
        case TrialState.COMPLETED | TrialState.PRUNED:
            lacking = [o.metric for o in new.spec.objectives if o.metric not in candidate.metrics]
            return f"{lacking[0]} was not measured" if lacking else None
        case TrialState.INFEASIBLE:
            equal = candidate.rerun_reason is None and same_device(new, source.setting)
            return None if equal else "INFEASIBLE there"
        case TrialState.FAILED | TrialState.CANCELLED:
            return f"{candidate.state} there"
        case TrialState.QUEUED | TrialState.RUNNING:
            return "not ended there"
        case _:
            assert_never(candidate.state)


def _taken(ranked: Sequence[_Candidate], most: int | None, unused: Counter[str]) -> list[_Candidate]:
    """The first that can be used, each assignment once; why others cannot be is counted."""
    taken: dict[object, _Candidate] = {}
    for candidate in ranked:
        if len(taken) == most:
            break
        if candidate.fit.problem is not None:
            unused[candidate.fit.problem] += 1
        elif (other := taken.get(candidate.key)) is None:
            taken[candidate.key] = candidate
        else:
            unused[_TWICE] += 1
            if other.rerun_reason and not candidate.rerun_reason:
                taken[candidate.key] = candidate
    return list(taken.values())


def _plan(sources: Sequence[Source], taken: Sequence[_Candidate], unused: Mapping[str, int]) -> WarmPlan:
    place = {source.sweep_id: place for place, source in enumerate(sources)}
    known = sorted(
        (each for each in taken if each.rerun_reason is None),
        key=lambda each: (place[each.origin.sweep_id], each.number),
    )
    reruns = [each for each in taken if each.rerun_reason is not None]
    summary = WarmSummary(
        sources=tuple(place),
        known=dict(Counter(each.origin.sweep_id for each in known)),
        reruns=tuple(each.origin for each in reruns),
        rerun_reasons=dict(Counter(each.rerun_reason or "" for each in reruns)),
        unused=dict(unused),
    )
    return WarmPlan(
        summary,
        tuple(KnownTrial(each.origin, each.fit.params, each.state, each.readings) for each in known),
        tuple(Rerun(each.origin, each.fit.params) for each in reruns),
    )
