"""Tables for people show what users wrote as they wrote it."""

import io

import pytest
from rich.console import Console

from sweeps.bootstrap import open_service
from sweeps.cli import output
from sweeps.cli.progress_view import live_table
from sweeps.cli.tables import leaderboard_table, sweeps_table
from sweeps.core.progress import Progress
from sweeps.settings import Settings
from sweeps.testing import make_spec

NAMES = ["bolt [m6]", "[/x]", ":x:", "[bold]red"]


def printed(table):
    out = io.StringIO()
    Console(file=out, width=200, emoji=False).print(table)
    return out.getvalue()


@pytest.fixture(params=NAMES)
def sweep(request, tmp_path):
    service = open_service(Settings.load(tmp_path, environ={}), create=True)
    spec = make_spec(objectives=[{"metric": f"segm/AP-{request.param}"}])
    return service.create(spec, fingerprint="0" * 64, now=0.0)


def test_a_category_with_brackets_is_shown_in_the_leaderboard(sweep):
    """A metric of a category named like markup heads its column, and breaks nothing."""
    assert sweep.spec.objectives[0].metric in printed(leaderboard_table(sweep, []))


def test_a_category_with_brackets_is_shown_in_the_list(sweep):
    """The best value of a sweep names such a metric too."""
    best = f"{sweep.spec.objectives[0].metric} 41.2 (trial 3)"
    assert best in printed(sweeps_table([sweep], {sweep.sweep_id: (1, best)}))


@pytest.mark.parametrize("name", NAMES)
def test_a_category_with_brackets_is_shown_in_the_progress(name):
    """The live table's heading is the metric's name, letter by letter."""
    now = Progress(
        ended=frozenset(),
        done=0,
        total=2,
        counts={},
        running=(),
        best=None,
        changed=None,
        left_s=None,
        rungs=(60,),
    )
    assert f"segm/AP-{name}" in printed(live_table(now, f"segm/AP-{name}"))


@pytest.mark.parametrize("console", [output.words, output.data])
def test_emoji_codes_stay_what_they_are(console):
    """A path such as `a:x:b` in a message is not turned into pictures."""
    with console.capture() as captured:
        console.print("data:x:gear.json", markup=False)
    assert captured.get() == "data:x:gear.json\n"
