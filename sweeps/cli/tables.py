"""Tables for people: the list of sweeps, and the leaderboard of one."""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

from rich.table import Table
from rich.text import Text

from sweeps.cli.columns import Column, fitted_table
from sweeps.cli.output import minute
from sweeps.cli.progress_view import duration
from sweeps.cli.standings import pareto, ranked
from sweeps.core.finals import Finals
from sweeps.core.replicates import Result, Spread, label, searched
from sweeps.core.states import TrialState
from sweeps.records import SweepRecord, TrialRecord

_EXTRA_METRICS = ("segm/AP", "segm/AP50", "segm/APs", "bbox/AP", "latency/ms_per_image")
_CONSTRAINTS, _KNOBS, _EXTRAS = 1, 2, 3  # ranks of columns


def leaderboard_table(sweep: SweepRecord, trials: list[TrialRecord], width: int = 250) -> Table:
    """Trials, best first, then those without a place, then replicates; parameters that differ have columns.

    Once the sweep has ended, a finalist that completed several runs is shown with their mean and deviation.

    A star marks the best, and with several objectives those of the Pareto front.
    Where they do not all fit into `width`, the objectives stay, and metrics that the spec does not name go
    before its knobs.
    """
    order = ranked(sweep, trials)
    seen = {standing.number for standing in order}
    rows = [
        *(standing.trial for standing in order),
        *(trial for trial in searched(trials) if trial.number not in seen),
        *(trial for trial in trials if trial.replicate_of is not None),
    ]
    results = Finals(sweep.spec).results(trials)
    spreads = {n: result.metrics for n, result in results.items() if len(result.runs) > 1}
    if not sweep.state.terminal:
        spreads = {}

    def column(name: str, cell: Callable[[TrialRecord], str], rank: int = 0, *, left: bool = False) -> Column:
        return Column(name, tuple(cell(trial) for trial in rows), rank, left)

    leads = {order[0].number} if order else set()
    if len(sweep.spec.objectives) > 1:
        leads |= set(pareto(sweep, trials))
    columns = [
        column("trial", lambda trial: f"{'* ' if trial.number in leads else ''}{label(trial.number)}"),
        column("state", lambda trial: str(trial.state), left=True),
        column("iterations", lambda trial: str(trial.iteration)),
    ]
    if results:
        columns.append(column("runs", lambda trial: _runs(results.get(trial.number))))
    for name, rank in _metric_columns(sweep, rows).items():
        columns.append(column(name, partial(_metric, name, spreads), rank))
    columns += [column(name, partial(_knob, name), _KNOBS) for name in _varying_knobs(rows)]
    title = f"{sweep.sweep_id}  {sweep.state}"
    return fitted_table(columns, width, title=title, bold=0 if order else -1)


def trouble(trials: list[TrialRecord]) -> Text | None:
    """Why trials failed, one line each; None if none did."""
    bad = [t for t in trials if t.state in {TrialState.FAILED, TrialState.INFEASIBLE}]
    if not bad:
        return None
    return Text("\n".join(f"trial {label(t.number)} {t.state}: {t.reason}" for t in bad))


def sweeps_table(
    sweeps: list[SweepRecord],
    counts: dict[str, tuple[int, str]],
    width: int = 250,
    notes: Mapping[str, str] = MappingProxyType({}),
) -> Table:
    """All sweeps, newest first; `counts` holds (trials ended, best), `notes` what to know, by sweep id."""

    def column(name: str, cell: Callable[[SweepRecord], str], rank: int = 0, *, left: bool = True) -> Column:
        return Column(name, tuple(cell(sweep) for sweep in sweeps), rank, left)

    def ended(sweep: SweepRecord) -> str:
        return f"{counts[sweep.sweep_id][0]}/{sweep.budget.trials}"

    columns = [
        column("sweep", lambda sweep: sweep.sweep_id),
        column("state", lambda sweep: str(sweep.state)),
        column("trials", ended, left=False),
        column("best", lambda sweep: counts[sweep.sweep_id][1]),
        column("created", lambda sweep: minute(sweep.created_at), 1),
        column("ran", lambda sweep: duration(sweep.active_s), 2),
        column("reason", lambda sweep: sweep.reason or notes.get(sweep.sweep_id) or "-", 3),
    ]
    return fitted_table(columns, width)


def _metric_columns(sweep: SweepRecord, trials: list[TrialRecord]) -> dict[str, int]:
    """Metrics with the rank of their columns."""
    objectives = [o.metric for o in sweep.spec.objectives]
    constraints = [c.metric for c in sweep.spec.constraints]
    there = {name for trial in trials for name in trial.metrics}
    ranks = dict.fromkeys((name for name in _EXTRA_METRICS if name in there), _EXTRAS)
    ranks |= dict.fromkeys(constraints, _CONSTRAINTS)
    ranks |= dict.fromkeys(objectives, 0)
    return {name: ranks[name] for name in dict.fromkeys([*objectives, *constraints, *ranks])}


def _varying_knobs(trials: list[TrialRecord]) -> list[str]:
    names = dict.fromkeys(name for trial in trials for name in trial.params)
    return [name for name in names if len({trial.params.get(name) for trial in trials}) > 1]


def _runs(result: Result[TrialRecord] | None) -> str:
    """Runs of a finalist that completed, of those that were begun."""
    return "-" if result is None else f"{len(result.runs)}/{result.begun}"


def _metric(name: str, spreads: Mapping[int, Mapping[str, Spread]], trial: TrialRecord) -> str:
    spread = spreads.get(trial.number, {}).get(name)
    if spread is not None:
        return f"{spread.mean:.2f}" + ("" if spread.deviation is None else f" ± {spread.deviation:.2f}")
    return f"{trial.metrics[name]:.2f}" if name in trial.metrics else "-"


def _knob(name: str, trial: TrialRecord) -> str:
    match trial.params.get(name):
        case None:
            return "-"
        case float() as value:
            return f"{value:.3g}"
        case value:
            return str(value)
