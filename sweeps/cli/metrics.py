"""`masksweep metrics`: the table of what is measured."""

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


def metrics_table() -> Table:
    """The metric table for people; what describes the data has no better way."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("metric", "unit", "better", "meaning"):
        table.add_column(name, overflow="fold", no_wrap=name == "metric")
    better = {"maximize": "higher", "minimize": "lower", None: ""}
    for metric in METRICS:
        table.add_row(metric.name, metric.unit, better[metric.goal] if metric.judges else "", metric.doc)
    return table
