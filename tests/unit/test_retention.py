"""What is deleted of trials' checkpoints, and what never is."""

from dataclasses import replace
from pathlib import Path

import pytest

from runners.retention import Retention
from sweeps.core.progress import Progress

NOTHING = Progress(frozenset(), 0, 9, {}, (), None, None, None, (75,))


@pytest.fixture
def trials(tmp_path) -> Path:
    """Three trials with two checkpoints each, and the scraps of a third."""
    for number in range(3):
        for name in ("e1a1i0000075", "e1a1i0000150", ".tmp-e1a1i0000300-77"):
            (tmp_path / f"{number:05d}" / name).mkdir(parents=True)
    return tmp_path


def there(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.glob("*/*"))


def retention(directory: Path) -> Retention:
    return Retention(directory, lambda number: str(directory / f"{number:05d}" / "e1a1i0000075"))


def test_an_ended_trial_keeps_one_checkpoint_or_none(trials):
    """Of one that is kept it is the last that the store has; open trials are left alone."""
    progress = replace(NOTHING, ended=frozenset({0, 1}), kept=((1,),))
    retention(trials)(progress)
    assert there(trials) == [
        "00001/e1a1i0000075",
        "00002/.tmp-e1a1i0000300-77",
        "00002/e1a1i0000075",
        "00002/e1a1i0000150",
    ]


def test_a_new_driver_deletes_what_dead_ones_left(trials):
    """Of ended trials, as above; of open ones what was being written."""
    (trials / "notes.txt").write_text("somebody's")
    retention(trials).sweep(replace(NOTHING, ended=frozenset({0, 1}), kept=((1,),)))
    assert there(trials) == ["00001/e1a1i0000075", "00002/e1a1i0000075", "00002/e1a1i0000150"]
    assert (trials / "notes.txt").exists()


def test_of_a_finalists_runs_the_best_that_has_checkpoints_is_kept(trials):
    """The others go."""
    retention(trials)(replace(NOTHING, ended=frozenset({0, 1, 2, 3}), kept=((3, 2, 1),)))
    assert there(trials) == ["00002/e1a1i0000075"]


def test_all_runs_of_a_schedules_finalist_are_kept(trials):
    """Its champion is compared with each."""
    every = Retention(trials, lambda number: str(trials / f"{number:05d}" / "e1a1i0000075"), every_run=True)
    every(replace(NOTHING, ended=frozenset({0, 1, 2, 3}), kept=((3, 2, 1),)))
    assert there(trials) == ["00001/e1a1i0000075", "00002/e1a1i0000075"]
