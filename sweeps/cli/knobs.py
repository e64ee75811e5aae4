"""`masksweep knobs`: the table of what can be searched."""

from collections.abc import Iterable, Mapping
from typing import Any

from rich.table import Table

from search_spaces.knobs import KNOBS


def knob_rows() -> list[dict[str, Any]]:
    """The knob table as data."""
    return [
        {
            "name": knob.name,
            "cfg_key": knob.cfg_key,
            "kind": str(knob.kind),
            "unit": knob.unit,
            "legal": str(knob.legal),
            "default": knob.default,
            "needs": None if knob.needs is None else str(knob.needs),
            "doc": knob.doc,
        }
        for knob in KNOBS
    ]


def knobs_table(rows: Iterable[Mapping[str, Any]]) -> Table:
    """The knob table for people, of rows as `knob_rows` gives them."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("knob", "kind", "legal", "default", "meaning"):
        table.add_column(name, overflow="fold", no_wrap=name == "knob")
    for row in rows:
        meaning = row["doc"] if row["needs"] is None else f"{row['doc']} Acts where {row['needs']}."
        table.add_row(row["name"], row["kind"], row["legal"], str(row["default"]), meaning)
    return table
