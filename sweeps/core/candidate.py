"""Which of a night's trials is held against the champion."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from sweeps.core.finals import Finals
from sweeps.core.ranking import violation
from sweeps.core.replicates import Run, searched
from sweeps.core.states import TrialState

_Run = TypeVar("_Run", bound=Run)


@dataclass(frozen=True, slots=True)
class Candidate(Generic[_Run]):
    """A night's best.

    Attributes:
        runs: The trial that is kept, and the other runs of the same parameters, if these decide.
        number: The trial of the search that it is; `runs` may begin with a replicate of it.
        value: The first objective, the mean over the runs.
        among: Trials that it was the best of.
    """

    runs: tuple[_Run, ...]
    number: int
    value: float
    among: int


def candidate_of(
    finals: Finals, trials: Iterable[_Run], *, iterations: int, settled: bool
) -> Candidate[_Run] | str:
    """The best of the trials that were trained in full and break no constraint, or why there is none.

    With several objectives the first one decides, since a champion is one model and not a front. Trials that
    were pruned count among those that it was the best of: they were compared on the same images.

    Args:
        finals: Of the sweep.
        trials: All of it.
        iterations: Of a full training.
        settled: Whether finalists are ranked by their means; see `Finals`.
    """
    trials = list(trials)
    metric, goal = finals.objectives[0]
    full = [
        standing
        for standing in finals.ranked(trials, settled=settled)
        if standing.state is TrialState.COMPLETED and standing.measured_iteration >= iterations
    ]
    if not full:
        return "no trial was trained in full"
    able = [standing for standing in full if not violation(standing.metrics, finals.bounds)]
    if not able:
        return f"of {len(full)} trained in full none keeps the constraints"
    firm = [each for each in able if settled and each.result is not None and len(each.result.runs) > 1]
    best = (firm or able)[0]
    if len(finals.objectives) > 1:
        sign = 1 if goal.value == "maximize" else -1
        best = max(firm or able, key=lambda each: sign * each.metrics[metric])
    runs: tuple[_Run, ...] = (best.trial,)
    if firm and best.result is not None:
        of_number = {run.number: run for run in best.result.runs}
        runs = tuple(of_number[number] for number in finals.runs_of(best))
    among = sum(trial.measured_iteration > 0 for trial in searched(trials))
    return Candidate(runs, best.number, best.metrics[metric], among)
