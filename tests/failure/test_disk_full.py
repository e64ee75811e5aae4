"""A disk without room, for checkpoints and for the store itself."""

import shutil

import pytest

from runners.checkpoints import check
from sweeps.core.states import SweepState, TrialState
from sweeps.testing import store_url
from tests.failure.courses import Courses
from tests.failure.lives import Full, Kill, fill
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
        sweeps.mirror(sweep_id)
    (small_disk / "ballast").unlink()
    assert sweeps.live(sweep_id, name, log=log, weight=WEIGHT).code == 0
    sweeps.assert_nothing_lost(sweep_id, name, log)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_full_disk_pauses_the_sweep_whenever_its_driver_was_killed(sweeps, small_disk, tmp_path, when):
    """The driver that finds no room, or the next one, leaves the sweep PAUSED; that fails no trial."""
    ballast, log = small_disk / "ballast", tmp_path / "iterations.log"
    commit = commits = 0
    while commit <= commits:  # the first life, of number 0, is not killed and tells how many there are
        sweep_id, name = sweeps.create(), f"no-room-{when}-{commit}"
        sweeps.place(name).mkdir()
        (small_disk / name).mkdir()
        (sweeps.place(name) / "trials").symlink_to(small_disk / name)
        fill(ballast, leave=2 * WEIGHT + 40_000)
        life = sweeps.live(sweep_id, name, Kill(when, commit), log=log, weight=WEIGHT)
        assert life.code == (-9 if commit else 0)
        commits = commits or life.commits
        check_rows(sweeps.service, sweep_id)
        if commit and commit == commits - 1:  # around the report that there is no room
            sweeps.mirror(sweep_id)
        if sweeps.service.sweep(sweep_id).state is not SweepState.PAUSED:
            assert sweeps.live(sweep_id, name, log=log, weight=WEIGHT).code == 0
        sweep = sweeps.service.sweep(sweep_id)
        assert sweep.state is SweepState.PAUSED
        assert sweep.reason.startswith("disk_full: no room for a checkpoint in ")
        ballast.unlink()
        assert sweeps.live(sweep_id, name, log=log, weight=WEIGHT).code == 0
        assert {t.failures for t in sweeps.service.trials(sweep_id)} == {0}
        sweeps.assert_nothing_lost(sweep_id, name, log)
        log.unlink()
        shutil.rmtree(small_disk / name)
        commit += 1


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
    stored.mirror(sweep_id)
    assert stored.live(sweep_id, "full").code == 0
    stored.assert_nothing_lost(sweep_id, "full")
    stored.service.engine.dispose()
