"""A sweep as the one JSON document that `run`, `resume` and `show` print."""

from pathlib import Path
from typing import Any

from sweeps.core.finals import Finals, Standing
from sweeps.core.replicates import Result
from sweeps.records import SweepRecord, TrialRecord
from sweeps.service import SweepService
from sweeps.settings import Settings
from sweeps.tracking.mirror import Mirror
from sweeps.warm.plan import summary_document


def ranked(sweep: SweepRecord, trials: list[TrialRecord]) -> list[Standing[TrialRecord]]:
    """The search's measured trials, best first: by the means of finalists once the sweep has ended."""
    return Finals(sweep.spec).ranked(trials, settled=sweep.state.terminal)


def pareto(sweep: SweepRecord, trials: list[TrialRecord]) -> list[int]:
    """The numbers of the trials among which to choose; with one objective those that share the best value."""
    return [standing.number for standing in Finals(sweep.spec).front(trials, settled=sweep.state.terminal)]


def sweep_document(service: SweepService, settings: Settings, sweep_id: str) -> dict[str, Any]:
    """Everything about a sweep that scripts ask for.

    Metrics are those of a trial's last rung, `measured_iteration`; a checkpoint that was deleted is None.
    """
    sweep = service.sweep(sweep_id)
    trials = service.trials(sweep_id)
    order = ranked(sweep, trials)
    warm = service.warm_summary(sweep.sweep_id)
    finals = Finals(sweep.spec)
    results = finals.results(trials)
    return {
        "sweep_id": sweep.sweep_id,
        "name": sweep.name,
        "state": str(sweep.state),
        "reason": sweep.reason,
        "note": service.notes().get(sweep.sweep_id),
        "objectives": [{"metric": o.metric, "goal": str(o.goal)} for o in sweep.spec.objectives],
        **budget_document(sweep),
        "trials": [_trial(trial, results.get(trial.number)) for trial in trials],
        "best": _best(finals, order[0], trials) if order else None,
        "warm_start": None if warm is None else summary_document(warm),
        "front": pareto(sweep, trials),
        "mlflow": _links(service, settings, sweep_id),
    }


def budget_document(sweep: SweepRecord) -> dict[str, Any]:
    """What a sweep may spend: the spec's budget with what was added, that alone, and when its deadline is."""
    return {
        "budget": sweep.budget.model_dump(mode="json", by_alias=True, exclude_none=True),
        "extension": sweep.extension.document() if sweep.extension else None,
        "deadline_at": sweep.deadline_at,
        "stopped_by": None if sweep.stopped_by is None else str(sweep.stopped_by),
    }


def _best(finals: Finals, ahead: Standing[TrialRecord], trials: list[TrialRecord]) -> dict[str, Any]:
    """The leader, with the checkpoint of its best run that has one, and `run`: the trial that this is of."""
    rows = {trial.number: trial for trial in trials}
    runs = [rows[number] for number in finals.runs_of(ahead)]
    run = next((run for run in runs if _checkpoint(run)), ahead.trial)
    return {**_trial(ahead.trial, ahead.result), "run": run.number, "checkpoint": _checkpoint(run)}


def _trial(trial: TrialRecord, result: Result[TrialRecord] | None) -> dict[str, Any]:
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
        "checkpoint": _checkpoint(trial),
        "replicate_of": trial.replicate_of,
        "replicates": None if result is None else _replicates(result),
    }


def _checkpoint(trial: TrialRecord) -> str | None:
    """Only the best of the ended trials keeps its own; the row tells what there was."""
    return trial.checkpoint if trial.checkpoint and Path(trial.checkpoint).is_dir() else None


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


def _links(service: SweepService, settings: Settings, sweep_id: str) -> dict[str, Any]:
    links = Mirror(service, settings.tracking_uri, artifact_root=settings.artifact_root).links(sweep_id)
    return {
        "tracking_uri": links.tracking_uri,
        "experiment_id": links.experiment_id,
        "parent_run_id": links.parent_run_id,
        "compare_url": links.compare_url,
    }
