"""`masksweep metrics`: the table of what is measured."""

from collections.abc import Iterable, Mapping
from typing import Any

from rich.table import Table

from sweeps.core.metrics import METRICS


def metric_rows() -> list[dict[str, Any]]:
    """The metric table as data."""
    return [
        {
            "name": metric.name,
            "unit": metric.unit,
            "goal": metric.goal if metric.judges else None,
            "doc": metric.doc,
            "source": metric.source,
        }
        for metric in METRICS
    ]


def metrics_table(rows: Iterable[Mapping[str, Any]]) -> Table:
    """Rows as `metric_rows` gives them, for people; what describes the data has no better way."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("metric", "unit", "better", "meaning"):
        table.add_column(name, overflow="fold", no_wrap=name == "metric")
    better = {"maximize": "higher", "minimize": "lower", None: ""}
    for row in rows:
        table.add_row(row["name"], row["unit"], better[row["goal"]], row["doc"])
    return table
