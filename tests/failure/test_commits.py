"""kill -9 of a driver before and after each of its commits, on both kinds of store."""

import pytest

from sweeps.core.states import SweepState
from tests.failure.lives import Kill
from tests.store_rows import check_rows

pytestmark = pytest.mark.slow  # some hundred processes

MIRRORED = 5
"""Each so-many-th commit's sweep is mirrored as its driver left it, and in the end: that takes a second."""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_driver_killed_at_a_commit_loses_nothing(sweeps, when):
    """Whichever commit it is, the next driver ends with the same trials, rungs and decisions."""
    for commit in range(1, sweeps.commits + 1):
        sweep_id, name = sweeps.create(), f"{when}-{commit}"
        assert sweeps.live(sweep_id, name, Kill(when, commit)).code == -9
        check_rows(sweeps.service, sweep_id)
        if commit % MIRRORED == 0:
            sweeps.mirror(sweep_id)
        if when == "after" and commit == sweeps.commits:
            assert sweeps.service.sweep(sweep_id).state is SweepState.COMPLETED
        else:
            assert sweeps.live(sweep_id, name).code == 0
        sweeps.assert_nothing_lost(sweep_id, name)


def test_drivers_that_die_after_each_report_get_there(sweeps):
    """Each claims, starts an attempt, stores one report and dies, which is not the trial's fault."""
    sweep_id, lived = sweeps.create(), 0
    while sweeps.live(sweep_id, "again", Kill("after", 3)).code == -9:
        lived += 1
        check_rows(sweeps.service, sweep_id)
        if lived % MIRRORED == 0:
            sweeps.mirror(sweep_id)
    assert lived >= len(sweeps.course.measured)
    assert {t.failures for t in sweeps.service.trials(sweep_id)} == {0}
    sweeps.assert_nothing_lost(sweep_id, "again")
