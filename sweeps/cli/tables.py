"""Tables for people: the list of sweeps, and the leaderboard of one."""

import time

from rich.table import Table
from rich.text import Text

from sweeps.cli.document import ranked
from sweeps.cli.progress_view import duration
from sweeps.core.states import TrialState
from sweeps.records import SweepRecord, TrialRecord

_EXTRA_METRICS = ("segm/AP", "segm/AP50", "segm/APs", "bbox/AP", "latency/ms_per_image")


def leaderboard_table(sweep: SweepRecord, trials: list[TrialRecord], *, limit: int | None = None) -> Table:
    """Trials, best first, then those without a measurement; the parameters that differ have columns."""
    order = ranked(sweep, trials)
    seen = {trial.number for trial in order}
    rows = [*order, *(trial for trial in trials if trial.number not in seen)][:limit]
    metrics = _metric_columns(sweep, rows)
    knobs = _varying_knobs(rows)
    title = Text(f"{sweep.sweep_id}  {sweep.state}", style="table.title")
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    table.add_column("trial", justify="right")
    table.add_column("state")
    table.add_column("iterations", justify="right")
    for name in (*metrics, *knobs):
        table.add_column(Text(name), justify="right", overflow="fold")  # a string would be read as markup
    for place, trial in enumerate(rows):
        best = place == 0 and trial.number in seen
        table.add_row(
            f"{'* ' if best else ''}{trial.number}",
            str(trial.state),
            str(trial.iteration),
            *(f"{trial.metrics[name]:.2f}" if name in trial.metrics else "-" for name in metrics),
            *(Text(_value(trial.params.get(name))) for name in knobs),
            style="bold" if best else None,
        )
    return table


def trouble(trials: list[TrialRecord]) -> Text | None:
    """Why trials failed, one line each; None if none did."""
    bad = [t for t in trials if t.state in {TrialState.FAILED, TrialState.INFEASIBLE}]
    if not bad:
        return None
    return Text("\n".join(f"trial {t.number} {t.state}: {t.reason}" for t in bad))


def sweeps_table(sweeps: list[SweepRecord], counts: dict[str, tuple[int, str]]) -> Table:
    """All sweeps, newest first; `counts` holds (trials ended, best) by sweep id."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("sweep", "state", "trials", "best", "created", "ran"):
        table.add_column(name, justify="right" if name == "trials" else "left")
    for sweep in sweeps:
        ended, best = counts[sweep.sweep_id]
        table.add_row(
            Text(sweep.sweep_id),
            str(sweep.state),
            f"{ended}/{sweep.spec.budget.trials}",
            Text(best),
            time.strftime("%Y-%m-%d %H:%M", time.localtime(sweep.created_at)),
            duration(sweep.active_s),
        )
    return table


def _metric_columns(sweep: SweepRecord, trials: list[TrialRecord]) -> list[str]:
    wanted = [o.metric for o in sweep.spec.objectives] + [c.metric for c in sweep.spec.constraints]
    there = {name for trial in trials for name in trial.metrics}
    return list(dict.fromkeys([*wanted, *(name for name in _EXTRA_METRICS if name in there)]))


def _varying_knobs(trials: list[TrialRecord]) -> list[str]:
    names = dict.fromkeys(name for trial in trials for name in trial.params)
    return [name for name in names if len({trial.params.get(name) for trial in trials}) > 1]


def _value(value: object) -> str:
    match value:
        case None:
            return "-"
        case float():
            return f"{value:.3g}"
        case _:
            return str(value)
