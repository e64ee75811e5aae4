"""docs/metrics.md."""

import subprocess
import sys
from pathlib import Path

from sweeps.core.metrics import METRICS

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_up_to_date():
    """It is what `make docs` writes."""
    check = [sys.executable, str(DOCS / "metrics_page.py"), "--check"]
    done = subprocess.run(check, cwd=DOCS.parent, env={"PYTHONPATH": str(DOCS.parent)}, check=False)
    assert done.returncode == 0, "run make docs"


def test_every_metric_has_a_row():
    """With its unit, which way is better, and its source, in the table's order."""
    rows = [line for line in (DOCS / "metrics.md").read_text().splitlines() if line.startswith("| `")]
    names = [row.split("`")[1] for row in rows if len(row.split(" | ")) == 5]
    assert names == [metric.name for metric in METRICS]
