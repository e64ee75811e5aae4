"""Trials and who leads them, as the documents of `show` have them: from a home's store or from a service."""

from collections.abc import Callable
from typing import Any

from sweeps.core.finals import Finals, Standing
from sweeps.core.replicates import Result
from sweeps.records import SweepRecord, TrialRecord

Checkpoint = Callable[[TrialRecord], str | None]
"""The directory of a trial's checkpoint, where there is one."""


def ranked(sweep: SweepRecord, trials: list[TrialRecord]) -> list[Standing[TrialRecord]]:
    """The search's measured trials, best first: by the means of finalists once the sweep has ended."""
    return Finals(sweep.spec).ranked(trials, settled=sweep.state.terminal)


def pareto(sweep: SweepRecord, trials: list[TrialRecord]) -> list[int]:
    """The numbers of the trials among which to choose; with one objective those that share the best value."""
    return [standing.number for standing in Finals(sweep.spec).front(trials, settled=sweep.state.terminal)]


def best_document(
    finals: Finals, ahead: Standing[TrialRecord], trials: list[TrialRecord], checkpoint: Checkpoint
) -> dict[str, Any]:
    """The leader, with the checkpoint of its best run that has one, and `run`: the trial that this is of."""
    rows = {trial.number: trial for trial in trials}
    runs = [rows[number] for number in finals.runs_of(ahead)]
    run = next((run for run in runs if checkpoint(run)), ahead.trial)
    document = trial_document(ahead.trial, ahead.result, checkpoint)
    return {**document, "run": run.number, "checkpoint": checkpoint(run)}


def trial_document(
    trial: TrialRecord, result: Result[TrialRecord] | None, checkpoint: Checkpoint
) -> dict[str, Any]:
    """One trial, with the means of its runs where it is a finalist."""
    return {
        "number": trial.number,
        "state": str(trial.state),
        "reason": trial.reason,
        "params": dict(trial.params),
        "iterations": trial.iteration,
        "metrics": dict(trial.metrics),
        "measured_iteration": trial.measured_iteration,
        "attempts": trial.attempt,
        "worker_s": round(trial.worker_s, 3),
        "checkpoint": checkpoint(trial),
        "replicate_of": trial.replicate_of,
        "replicates": None if result is None else _replicates(result),
    }


def _replicates(result: Result[TrialRecord]) -> dict[str, Any]:
    """A finalist's runs: how many were begun, which completed, and each metric over these."""
    return {
        "begun": result.begun,
        "completed": [run.number for run in result.runs],
        "metrics": {
            name: {"mean": each.mean, "std": each.deviation, "n": each.n}
            for name, each in result.metrics.items()
        },
    }
