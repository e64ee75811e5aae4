from rich.console import Console

from sweeps.cli.progress_view import duration, live_table
from sweeps.core.progress import Glimpse, Progress
from sweeps.core.states import TrialState


def glimpse(number, iteration, rung, ap=None):
    metrics = {} if ap is None else {"segm/AP": ap}
    return Glimpse(number, TrialState.RUNNING, iteration, rung, metrics, iteration if metrics else 0, None)


def test_the_live_table_has_a_line_for_each_running_trial():
    """Trials done, the best so far, the time left, then each running trial with its rung and AP."""
    now = Progress(
        ended=frozenset({0, 1}),
        done=2,
        total=12,
        counts={TrialState.RUNNING: 2, TrialState.COMPLETED: 1, TrialState.PRUNED: 1},
        running=(glimpse(2, 60, 1, 22.3), glimpse(3, 10, 0)),
        best=glimpse(0, 240, 3, 50.1),
        kept=((0,),),
        changed=None,
        left_s=130.0,
        rungs=(60, 120, 240),
    )
    console = Console(width=90, color_system=None, force_terminal=True)
    with console.capture() as captured:
        console.print(live_table(now, "segm/AP"))
    lines = [line.replace("━", "").split() for line in captured.get().splitlines()]
    assert lines == [
        ["trials", "2/12", "done,", "best", "segm/AP", "50.1", "(trial", "0),", "2", "min", "left"],
        [],
        ["trial", "rung", "iterations", "segm/AP"],
        ["2", "1/3", "60/240", "22.30"],
        ["3", "0/3", "10/240", "-"],
        ["1", "completed,", "1", "pruned,", "2", "running"],
    ]


def test_durations_are_short():
    """Seconds up to a minute and a half, minutes up to two hours, then hours."""
    assert [duration(s) for s in (None, 45, 720, 11100)] == ["?", "45 s", "12 min", "3 h 05 min"]
