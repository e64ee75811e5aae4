"""`masksweep ls`, `show` and `mirror`: what the store knows."""

from sweeps.cli.document import sweep_document
from sweeps.cli.output import data, print_json, words
from sweeps.cli.progress_view import measured
from sweeps.cli.standings import ranked
from sweeps.cli.tables import leaderboard_table, sweeps_table, trouble
from sweeps.core.finals import Standing
from sweeps.core.replicates import searched
from sweeps.records import TrialRecord
from sweeps.service import SweepService
from sweeps.settings import Settings
from sweeps.tracking.mirror import Mirror


def list_sweeps(service: SweepService, *, as_json: bool) -> None:
    """Prints all sweeps, newest first."""
    sweeps, notes = service.sweeps(), service.notes()
    counts = {}
    rows = []
    for sweep in sweeps:
        trials = service.trials(sweep.sweep_id)
        order = ranked(sweep, trials)
        own = searched(trials)
        ended = sum(trial.state.terminal for trial in own)
        metric = sweep.spec.objectives[0].metric
        counts[sweep.sweep_id] = (ended, _best_in_words(order[0], metric) if order else "-")
        rows.append(
            {
                "sweep_id": sweep.sweep_id,
                "name": sweep.name,
                "state": str(sweep.state),
                "reason": sweep.reason,
                "note": notes.get(sweep.sweep_id),
                "trials": len(own),
                "replicates": len(trials) - len(own),
                "ended": ended,
                "budget": sweep.budget.trials,
                "best": _best(order[0]) if order else None,
                "created_at": sweep.created_at,
                "started_at": sweep.started_at,
                "ended_at": sweep.ended_at,
            }
        )
    if as_json:
        print_json({"sweeps": rows})
    elif sweeps:
        data.print(sweeps_table(sweeps, counts, data.width, notes))
    else:
        words.print("no sweeps yet")


def _best(ahead: Standing[TrialRecord]) -> dict[str, object]:
    """The leader; `metrics` are means over `runs` runs."""
    runs = len(ahead.result.runs) if ahead.result else 1
    return {"number": ahead.number, "metrics": dict(ahead.metrics), "runs": runs}


def _best_in_words(ahead: Standing[TrialRecord], metric: str) -> str:
    value = measured(ahead.metrics, metric)
    spread = ahead.result.metrics.get(metric) if ahead.result else None
    if spread is None or spread.deviation is None:
        return f"{value} (trial {ahead.number})"
    return f"{value} ± {spread.deviation:.2g} (trial {ahead.number}, {spread.n} runs)"


def show_sweep(service: SweepService, settings: Settings, sweep_id: str, *, as_json: bool) -> None:
    """Prints one sweep."""
    sweep = service.sweep(sweep_id)
    document = sweep_document(service, settings, sweep.sweep_id)
    if as_json:
        print_json(document)
        return
    trials = service.trials(sweep.sweep_id)
    data.print(leaderboard_table(sweep, trials, data.width))
    failures = trouble(trials)
    if failures:
        data.print(failures)
    warm = service.warm_summary(sweep.sweep_id)
    if warm is not None:
        data.print(f"warm start: {warm}", markup=False)
    if sweep.reason:
        data.print(f"{sweep.state}: {sweep.reason}", markup=False)
    if document["note"]:
        data.print(f"note: {document['note']}", markup=False)
    if sweep.extension:
        data.print(f"extended: {sweep.extension}", markup=False)
    if document["best"] and document["best"]["checkpoint"]:
        data.print(f"best model: {document['best']['checkpoint']}", markup=False)
    if document["mlflow"]["compare_url"]:
        data.print(f"compare: {document['mlflow']['compare_url']}", markup=False, soft_wrap=True)


def mirror_sweep(service: SweepService, settings: Settings, sweep_id: str, *, as_json: bool) -> None:
    """Ships what MLflow does not have yet.

    Raises:
        MirrorUnavailable: MLflow does not answer.
    """
    sweep = service.sweep(sweep_id)
    Mirror(service, settings.tracking_uri, artifact_root=settings.artifact_root).sync(sweep.sweep_id)
    mlflow = sweep_document(service, settings, sweep.sweep_id)["mlflow"]
    if as_json:
        print_json(mlflow)
    else:
        data.print(f"compare: {mlflow['compare_url']}", markup=False, soft_wrap=True)
