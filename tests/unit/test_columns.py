from rich.console import Console

from sweeps.cli.columns import Column, fitted_table
from sweeps.cli.tables import leaderboard_table
from sweeps.core.states import SweepState, TrialState
from sweeps.records import SweepRecord, TrialRecord
from sweeps.testing import make_spec

KNOBS = {
    "mask_head.upsample_stride": (1, 2, 4),
    "mask_head.name": ("stock", "strided", "strided"),
    "solver.base_lr": (0.000495, 0.00528, 0.01),
    "solver.weight_decay": (0.0123, 0.05, 0.1),
    "augment.brightness": (0.1, 0.2, 0.3),
}
METRICS = ("segm/AP", "segm/AP50", "segm/APs", "bbox/AP")


def printed(table, width):
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(table)
    return [line.rstrip() for line in captured.get().splitlines()]


def leaderboard(width):
    spec = make_spec()
    row = ("parts-abcdef", "parts", SweepState.COMPLETED, None, 1, spec, "0", 0.0, 0.0, 9.0, 1.0, 9.0, None)
    sweep = SweepRecord(*row, spec.budget)
    trials = [
        TrialRecord(
            number, TrialState.COMPLETED, None, {name: got[number] for name, got in KNOBS.items()}, 1, 1,
            0, 300, None, 0, 1.0, 0.0, 9.0, {}, dict.fromkeys(METRICS, 40.123 + number), 300,
        )
        for number in range(3)
    ]  # fmt: skip
    return printed(leaderboard_table(sweep, trials, width), width)


def test_a_wide_terminal_shows_every_column_on_one_line():
    """Heads stand on a line, and nothing is said to be left out."""
    lines = leaderboard(200)
    assert lines[1].split() == ["trial", "state", "iterations", *METRICS, *KNOBS]
    assert lines[2].split() == [
        "*", "2", "COMPLETED", "300", *["42.12"] * 4, "4", "strided", "0.01", "0.1", "0.3",
    ]  # fmt: skip
    assert len(lines) == 5


def test_eighty_columns_show_the_objective_and_the_knobs_that_fit():
    """No number is folded or cut; what has no room is counted, with the place that has it."""
    lines = leaderboard(80)
    assert lines == [
        "parts-abcdef  COMPLETED",
        "                                            mask_head.  mask_head.   solver.",
        "trial  state      iterations  segm/AP  upsample_stride        name   base_lr",
        "  * 2  COMPLETED         300    42.12                4     strided      0.01",
        "    1  COMPLETED         300    41.12                2     strided   0.00528",
        "    0  COMPLETED         300    40.12                1       stock  0.000495",
        "5 columns left out; --json has all",
    ]


def test_an_empty_table_has_its_heads():
    """A sweep without trials is shown as one."""
    assert printed(fitted_table([Column("trial", ()), Column("state", ())], 80), 80) == ["trial  state"]
