"""`masksweep compare` in a terminal: whatever its width, nothing that is compared is cut or left out."""

from collections import Counter

import pytest
from rich.console import Console

from sweeps.cli.comparison import comparison_table

KNOB = "augment.copy_paste_small_bias"
ROWS = [
    *("sweep", "state", "trial", "iterations", "segm/AP"),
    *("parameters", KNOB, "specs differ in", "dataset.val.annotations"),
]
PATH = "/data/parts/2026-11-29/annotations/instances_val_corrected.json"


def document(count: int) -> dict[str, object]:
    """As `comparison` makes it: so many entries with long names."""
    names = [f"nightly-parts-with-copy-paste-{place}-abcdef" for place in range(count)]
    trial = {"number": 12, "state": "COMPLETED", "measured_iteration": 3000, "runs": 3}
    return {
        "compared": [
            {
                "name": f"{name}/12",
                "sweep_name": name,
                "state": "COMPLETED",
                "objectives": [{"metric": "segm/AP"}],
                "constraints": [],
                "trial": trial,
            }
            for name in names
        ],
        "metrics": [
            {
                "name": "segm/AP",
                "values": [40.0 + place for place in range(count)],
                "differences": [float(place) for place in range(count)],
                "better": [count - 1],
            }
        ],
        "params": [{"name": KNOB, "values": [0.1234] * count}],
        "spec": [{"name": "dataset.val.annotations", "values": [f"{place}{PATH}" for place in range(count)]}],
    }


def printed(count: int, width: int) -> list[str]:
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(comparison_table(document(count), width))
    lines = captured.get().splitlines()
    assert max(map(len, lines)) <= width
    return [line.rstrip() for line in lines]


def letters(lines: list[str]) -> Counter[str]:
    """All that is printed, wherever it stands."""
    return Counter("".join(lines).replace(" ", ""))


def test_a_wide_terminal_has_all_in_one_table():
    """Each name stands on one line."""
    lines = printed(2, 200)
    assert lines[0].split() == [f"nightly-parts-with-copy-paste-{place}-abcdef/12" for place in (0, 1)]
    assert lines[-1].split() == ["dataset.val.annotations", f"0{PATH}", f"1{PATH}"]


@pytest.mark.parametrize(
    ("count", "width", "tables"), [(2, 80, 1), (3, 80, 2), (8, 80, 4), (2, 40, 2), (3, 120, 1), (8, 120, 3)]
)
def test_nothing_is_cut_or_left_out(count, width, tables):
    """What has no room is folded, or stands in a table below with the names of the rows once more."""
    expected = letters(printed(count, 2000))
    for _ in range(tables - 1):
        expected += letters(ROWS)
    assert letters(printed(count, width)) == expected


@pytest.mark.parametrize(("count", "tables"), [(2, 1), (3, 2), (8, 4)])
def test_eighty_columns_take_two_beside_each_other(count, tables):
    """Names of rows are not folded there."""
    lines = printed(count, 80)
    assert sum(line.startswith(f"  {KNOB}  ") for line in lines) == tables
    assert sum("* " in line for line in lines) == 1
