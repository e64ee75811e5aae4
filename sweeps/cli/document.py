"""A sweep as the one JSON document that `run`, `resume` and `show` print."""

from pathlib import Path
from typing import Any

from sweeps.cli.standings import best_document, pareto, ranked, trial_document
from sweeps.core.finals import Finals
from sweeps.records import SweepRecord, TrialRecord
from sweeps.service import SweepService
from sweeps.settings import Settings
from sweeps.tracking.mirror import Mirror
from sweeps.warm.plan import summary_document


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
        "trials": [trial_document(trial, results.get(trial.number), _kept) for trial in trials],
        "best": best_document(finals, order[0], trials, _kept) if order else None,
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


def _kept(trial: TrialRecord) -> str | None:
    """Only the best of the ended trials keeps its own; the row tells what there was."""
    return trial.checkpoint if trial.checkpoint and Path(trial.checkpoint).is_dir() else None


def _links(service: SweepService, settings: Settings, sweep_id: str) -> dict[str, Any]:
    links = Mirror(service, settings.tracking_uri, artifact_root=settings.artifact_root).links(sweep_id)
    return {
        "tracking_uri": links.tracking_uri,
        "experiment_id": links.experiment_id,
        "parent_run_id": links.parent_run_id,
        "compare_url": links.compare_url,
    }
