"""Checkpoints that are damaged, half-written or gone when a trial is to go on from them."""

from pathlib import Path

import pytest

from sweeps.core.states import TrialState
from tests.failure.lives import Kill
from tests.store_rows import check_rows

pytestmark = pytest.mark.slow  # processes

BEFORE_LAST_REPORT = 5
"""Commits of the first driver up to then: its claim, trial 0, two of its three rungs."""

FALLEN_BACK = 3
"""Commits of the next driver up to then: its claim, the attempt's start, its first report."""


def flip(checkpoint: Path) -> None:
    """One bit of it, as an aging disk does."""
    content = bytearray((checkpoint / "state.json").read_bytes())
    content[len(content) // 2] ^= 1
    (checkpoint / "state.json").write_bytes(content)


def truncate(checkpoint: Path) -> None:
    """What a file system may leave of a file after a power cut."""
    (checkpoint / "weights.bin").write_bytes(b"")


def remove(checkpoint: Path) -> None:
    """Half of it, as somebody who needed room may have done."""
    (checkpoint / "contents.json").unlink()


@pytest.mark.parametrize(("damaged", "start"), [(1, 2), (2, 0)])
@pytest.mark.parametrize("damage", [flip, truncate, remove])
def test_a_damaged_checkpoint_costs_the_way_from_the_one_before(sweeps, damage, damaged, start):
    """The trial goes on from the last whole one, or from its start; measured rungs stay, and it is told."""
    sweep_id, name = sweeps.create(), f"{damage.__name__}-{damaged}"
    assert sweeps.live(sweep_id, name, Kill("before", BEFORE_LAST_REPORT), weight=1000).code == -9
    sweeps.mirror(sweep_id)
    (trial,) = sweeps.service.trials(sweep_id)
    assert (trial.state, trial.checkpoint_iteration) == (TrialState.RUNNING, 4)
    checkpoints = sorted((sweeps.place(name) / "trials" / "00000").iterdir())
    assert [path.name for path in checkpoints] == [f"e1a1i{iteration:07d}" for iteration in (2, 4, 8)]
    for path in checkpoints[2 - damaged : 2]:
        damage(path)

    assert sweeps.live(sweep_id, name, weight=1000).code == 0
    (told,) = [event for event in sweeps.service.events(sweep_id) if event.kind == "trial.fell_back"]
    assert (told.number, told.attempt, told.data["iteration"]) == (0, 2, start)
    assert told.data["reason"].startswith(str(checkpoints[1]))
    assert sweeps.service.attempts(sweep_id)[1].start_iteration == start
    sweeps.assert_nothing_lost(sweep_id, name)


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_attempt_falls_back_once_whenever_its_driver_was_killed(sweeps, when):
    """Until its first report is stored the next attempt falls back again; after it there is nothing to."""
    for commit in range(1, FALLEN_BACK + 3):
        sweep_id, name = sweeps.create(), f"fallen-{when}-{commit}"
        assert sweeps.live(sweep_id, name, Kill("before", BEFORE_LAST_REPORT), weight=1000).code == -9
        flip(sweeps.place(name) / "trials" / "00000" / "e1a1i0000004")
        assert sweeps.live(sweep_id, name, Kill(when, commit), weight=1000).code == -9
        check_rows(sweeps.service, sweep_id)
        told = [event for event in sweeps.service.events(sweep_id) if event.kind == "trial.fell_back"]
        assert len(told) == (commit + (when == "after") > FALLEN_BACK)
        if commit == FALLEN_BACK:
            sweeps.mirror(sweep_id)
        assert sweeps.live(sweep_id, name, weight=1000).code == 0
        (told,) = [event for event in sweeps.service.events(sweep_id) if event.kind == "trial.fell_back"]
        assert (told.number, told.data["iteration"]) == (0, 2)
        assert [t.failures for t in sweeps.service.trials(sweep_id)] == sweeps.failures
        unheard = {(0, 2): 2} if (when, commit) == ("before", FALLEN_BACK) else None
        sweeps.assert_nothing_lost(sweep_id, name, fallen=unheard)


def test_a_half_written_checkpoint_is_no_checkpoint(sweeps):
    """What a killed worker left beside its place is never read, and the next driver deletes it."""
    sweep_id, name = sweeps.create(), "half-written"
    assert sweeps.live(sweep_id, name, Kill("before", BEFORE_LAST_REPORT - 1)).code == -9
    sweeps.mirror(sweep_id)
    directory = sweeps.place(name) / "trials" / "00000"
    scrap = directory / ".tmp-e1a1i0000004-77"
    (directory / "e1a1i0000004").rename(scrap)
    truncate(scrap)
    assert sweeps.live(sweep_id, name, Kill("before", 3)).code == -9
    assert not scrap.exists()
    assert sweeps.live(sweep_id, name).code == 0
    sweeps.assert_nothing_lost(sweep_id, name)
