"""Writes docs/metrics.md: the template beside this file, with the table of metrics in its place.

`make docs` runs it. With --check it writes nothing, and ends with 1 if the page is out of date.
"""

import sys
from pathlib import Path

from sweeps.core.metrics import METRICS, Metric

HERE = Path(__file__).parent
PAGE = HERE / "metrics.md"
_BETTER = {"maximize": "higher", "minimize": "lower", None: "neither"}


def page() -> str:
    """The page as it should be."""
    template = (HERE / "metrics.template.md").read_text(encoding="utf-8")
    rows = [
        "| metric | unit | better | what it says | source |",
        "|---|---|---|---|---|",
        *map(_row, METRICS),
    ]
    return template.replace("{table}", "\n".join(rows))


def _row(metric: Metric) -> str:
    cells = (f"`{metric.name}`", metric.unit, _BETTER[metric.goal], metric.doc, metric.source)
    return f"| {cells[0]} | {' | '.join(cell.replace('<', '&lt;') for cell in cells[1:])} |"


def main(arguments: list[str]) -> int:
    """Writes or checks."""
    if "--check" in arguments:
        return 0 if PAGE.exists() and PAGE.read_text(encoding="utf-8") == page() else 1
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
