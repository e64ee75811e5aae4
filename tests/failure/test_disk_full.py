"""A disk without room, for checkpoints and for the store itself."""

import pytest

from runners.checkpoints import check
from sweeps.core.states import SweepState, TrialState
from sweeps.testing import store_url
from tests.failure.courses import Courses
from tests.failure.lives import Full, fill
from tests.failure.verdict import assert_nothing_lost
from tests.store_rows import check_rows

pytestmark = pytest.mark.slow  # processes

WEIGHT = 100_000


def test_a_full_disk_pauses_the_sweep_until_there_is_room(sweeps, small_disk, tmp_path):
    """It is no trial's fault: none fails, checkpoints stay whole, and after making room it goes on."""
    sweep_id, name, log = sweeps.create(), "full", tmp_path / "iterations.log"
    (sweeps.place(name)).mkdir()
    (sweeps.place(name) / "trials").symlink_to(small_disk)
    fill(small_disk / "ballast", leave=2 * WEIGHT + 40_000)
    for epoch in (1, 2):
        life = sweeps.live(sweep_id, name, log=log, weight=WEIGHT)
        assert (life.code, life.error) == (0, "")
        sweep = sweeps.service.sweep(sweep_id)
        assert (sweep.epoch, sweep.state) == (epoch, SweepState.PAUSED)
        assert sweep.reason.startswith("disk_full: no room for a checkpoint in ")
        trials = sweeps.service.trials(sweep_id)
        assert [t.state for t in trials if not t.state.terminal] == [TrialState.QUEUED]
        assert {t.failures for t in trials} == {0}
        saved = [path for path in small_disk.glob("*/*") if path.name.startswith("e")]
        assert saved
        for path in saved:
            check(path)
        assert list(small_disk.glob("*/.tmp-*")) == []
        check_rows(sweeps.service, sweep_id)
    (small_disk / "ballast").unlink()
    assert sweeps.live(sweep_id, name, log=log, weight=WEIGHT).code == 0
    assert_nothing_lost(sweeps.service, sweep_id, log, undisturbed=sweeps.course)


def test_a_store_without_room_ends_the_driver_and_not_the_sweep(source, small_disk, tmp_path):
    """What was committed is whole; the driver says at once what is wrong; with room the next one goes on."""
    stored = Courses(source, store_url("sqlite", small_disk, "store"), tmp_path)
    sweep_id = stored.create()
    life = stored.live(sweep_id, "full", Full(8))
    assert life.code == 1
    assert life.error.startswith("StoreUnavailable: the store sqlite:///")
    assert life.error.endswith("database or disk is full")
    assert life.notes == []
    (small_disk / "ballast").unlink()
    check_rows(stored.service, sweep_id)
    assert stored.live(sweep_id, "full").code == 0
    stored.assert_nothing_lost(sweep_id, "full")
    stored.service.engine.dispose()
