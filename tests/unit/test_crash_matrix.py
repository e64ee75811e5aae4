"""The page of the crash matrix and the tests that it names."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def names_in(path: Path) -> list[str]:
    return re.findall(r"^def (test_\w+)\(", path.read_text(), re.MULTILINE)


def test_every_row_names_a_test_that_exists():
    """A row without a test, or with one that was renamed, promises what nobody checks."""
    page = (ROOT / "docs" / "crash-matrix.md").read_text()
    tables = [line for line in page.splitlines() if line.startswith("|")]
    rows = [line for line in tables if not line.startswith(("|---", "| what dies"))]
    assert len(rows) > 5
    for row in rows:
        named = NAMED.findall(row)
        assert named, row
        for path, name in named:
            assert name in names_in(ROOT / path), row


def test_every_failure_test_has_its_row():
    """What tests/failure kills is told to users."""
    told = set(NAMED.findall((ROOT / "docs" / "crash-matrix.md").read_text()))
    for path in sorted((ROOT / "tests" / "failure").glob("test_*.py")):
        for name in names_in(path):
            assert (str(path.relative_to(ROOT)), name) in told
