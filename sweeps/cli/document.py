"""A sweep as the one JSON document that `run`, `resume` and `show` print."""

from pathlib import Path
from typing import Any

from sweeps.core.ranking import bounds_of, front, leaderboard, objectives_of
from sweeps.records import SweepRecord, TrialRecord
from sweeps.service import SweepService
from sweeps.settings import Settings
from sweeps.tracking.mirror import Mirror
from sweeps.warm.plan import summary_document


def ranked(sweep: SweepRecord, trials: list[TrialRecord]) -> list[TrialRecord]:
    """The sweep's measured trials, best first."""
    return leaderboard(trials, objectives_of(sweep.spec), bounds_of(sweep.spec))


def pareto(sweep: SweepRecord, trials: list[TrialRecord]) -> list[int]:
    """The numbers of the trials among which to choose; with one objective those that share the best value."""
    return [trial.number for trial in front(trials, objectives_of(sweep.spec), bounds_of(sweep.spec))]


def sweep_document(service: SweepService, settings: Settings, sweep_id: str) -> dict[str, Any]:
    """Everything about a sweep that scripts ask for.

    Metrics are those of a trial's last rung, `measured_iteration`; a checkpoint that was deleted is None.
    """
    sweep = service.sweep(sweep_id)
    trials = service.trials(sweep_id)
    order = ranked(sweep, trials)
    warm = service.warm_summary(sweep.sweep_id)
    return {
        "sweep_id": sweep.sweep_id,
        "name": sweep.name,
        "state": str(sweep.state),
        "reason": sweep.reason,
        "objectives": [{"metric": o.metric, "goal": str(o.goal)} for o in sweep.spec.objectives],
        "trials": [_trial(trial) for trial in trials],
        "best": _trial(order[0]) if order else None,
        "warm_start": None if warm is None else summary_document(warm),
        "front": pareto(sweep, trials),
        "mlflow": _links(service, settings, sweep_id),
    }


def _trial(trial: TrialRecord) -> dict[str, Any]:
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
        # Only the best of the ended trials keeps its own; the row tells what there was.
        "checkpoint": trial.checkpoint if trial.checkpoint and Path(trial.checkpoint).is_dir() else None,
    }


def _links(service: SweepService, settings: Settings, sweep_id: str) -> dict[str, Any]:
    links = Mirror(service, settings.tracking_uri, artifact_root=settings.artifact_root).links(sweep_id)
    return {
        "tracking_uri": links.tracking_uri,
        "experiment_id": links.experiment_id,
        "parent_run_id": links.parent_run_id,
        "compare_url": links.compare_url,
    }
