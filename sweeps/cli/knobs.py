"""`masksweep knobs`: the table of what can be searched."""

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


def knobs_table() -> Table:
    """The knob table for people."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("knob", "kind", "legal", "default", "meaning"):
        table.add_column(name, overflow="fold", no_wrap=name == "knob")
    for knob in KNOBS:
        meaning = knob.doc if knob.needs is None else f"{knob.doc} Acts where {knob.needs}."
        table.add_row(knob.name, str(knob.kind), str(knob.legal), str(knob.default), meaning)
    return table
