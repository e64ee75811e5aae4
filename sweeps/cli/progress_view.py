"""Progress of a running sweep: a live table on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sweeps.cli.output import words
from sweeps.core.progress import Glimpse, Progress
from sweeps.core.replicates import label
from sweeps.core.states import TrialState


@contextmanager
def progress_view(metric: str) -> Iterator[Callable[[Progress], None]]:
    """Shows each progress that the yielded function is called with; `metric` is the leading objective."""
    if not words.is_terminal:
        yield lambda now: _print_line(now, metric)
        return
    with Live(Text("starting workers ..."), console=words, refresh_per_second=4, transient=True) as live:
        yield lambda now: live.update(live_table(now, metric))


def duration(seconds: float | None) -> str:
    """`45 s`, `12 min`, `3 h 05 min`; `?` for None."""
    if seconds is None:
        return "?"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"


def measured(metrics: Mapping[str, float], metric: str) -> str:
    """`segm/AP 41.2`, or that nothing is measured yet."""
    return f"{metric} {metrics[metric]:.4g}" if metric in metrics else "not measured yet"


def _print_line(now: Progress, metric: str) -> None:
    if now.changed is None:
        return
    words.print(
        f"{time.strftime('%H:%M:%S')} {_news(now.changed, now, metric)} | {_summary(now, metric)}",
        markup=False,
    )


def _news(trial: Glimpse, now: Progress, metric: str) -> str:
    subject = f"trial {label(trial.number)}"
    at = f"{trial.iteration}/{now.rungs[-1]} iterations"
    match trial.state:
        case TrialState.RUNNING if trial.iteration == 0:
            return f"{subject} started"
        case TrialState.RUNNING:
            return f"{subject} rung {trial.rung}/{len(now.rungs)}, {at}, {measured(trial.metrics, metric)}"
        case TrialState.COMPLETED | TrialState.PRUNED:
            return f"{subject} {trial.state}, {at}, {measured(trial.metrics, metric)}"
        case _:
            return f"{subject} {trial.state}, {at}: {trial.reason}"


def _summary(now: Progress, metric: str) -> str:
    best = "no best yet"
    if now.best:
        at = now.best.measured_iteration
        so_far = f" at {at} iterations" if at < now.rungs[-1] else ""
        best = f"best {measured(now.best.metrics, metric)} (trial {now.best.number}{so_far})"
    again = f" replicates {now.replicates[0]}/{now.replicates[1]}," if now.replicates else ""
    return f"{now.done}/{now.total} done,{again} {best}, {duration(now.left_s)} left"


def live_table(now: Progress, metric: str) -> RenderableType:
    """The whole sweep in a few lines: how far it is, then a row for each running trial."""
    head = Text.assemble(("trials ", "bold"), _summary(now, metric))
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("trial", "rung", "iterations", metric):
        table.add_column(Text(column), justify="right")  # a string would be read as markup
    table.add_column("", min_width=24)
    for trial in now.running:
        value = f"{trial.metrics[metric]:.2f}" if metric in trial.metrics else "-"
        table.add_row(
            label(trial.number),
            f"{trial.rung}/{len(now.rungs)}",
            f"{trial.iteration}/{now.rungs[-1]}",
            value,
            ProgressBar(total=now.rungs[-1], completed=trial.iteration, width=24),
        )
    counts = ", ".join(f"{count} {state.lower()}" for state, count in sorted(now.counts.items()))
    overall = Table.grid()  # a bar alone does not end its line
    ended, planned = now.replicates or (0, 0)
    overall.add_row(ProgressBar(total=now.total + planned, completed=now.done + ended, width=60))
    return Group(head, overall, table, Text(counts, style="dim"))
