"""Checkpoint directories: atomic, checked, few."""

from pathlib import Path

import pytest

from runners.checkpoints import (
    CheckpointInvalid,
    DiskFull,
    Shelf,
    check,
    checkpoint_name,
    trouble,
    write_checkpoint,
)
from sweeps.core.trial import Assignment, FailureKind


def write(content: str = "weights"):
    """A writer of two files."""

    def write(directory: Path) -> None:
        (directory / "model").write_text(content)
        (directory / "config").write_text("VERSION: 2")

    return write


def read(path: Path) -> str:
    return (path / "model").read_text()


def names(directory: Path) -> list[str]:
    return sorted(entry.name for entry in directory.iterdir())


def shelf(directory: Path, checkpoint: Path | None = None, iteration: int = 0, **fields) -> Shelf:
    fields = {"attempt": 1, "epoch": 1, "params": {}, "seed": 1, "rungs": (75,), "pause_file": "", **fields}
    saved = str(checkpoint) if checkpoint else None
    return Shelf(
        Assignment("s", 0, checkpoint=saved, iteration=iteration, directory=str(directory), **fields)
    )


def test_a_checkpoint_appears_whole(tmp_path):
    """Its files, with their sizes and checksums, under the name of attempt and iteration."""
    path = write_checkpoint(tmp_path / "00000", checkpoint_name(1, 2, 7), write())
    assert path.name == "e1a2i0000007"
    assert names(path) == ["config", "contents.json", "model"]
    check(path)


def test_saving_twice_keeps_the_first(tmp_path):
    """A repeated save under one name changes nothing and leaves no scraps."""
    write_checkpoint(tmp_path, "e1a1i0000007", write("first"))
    assert read(write_checkpoint(tmp_path, "e1a1i0000007", write("second"))) == "first"
    assert names(tmp_path) == ["e1a1i0000007"]


def test_who_is_slower_leaves_the_first(tmp_path):
    """Two processes that save under one name at the same moment: one of them wins, and both go on."""
    path = tmp_path / "e1a1i0000007"

    def overtaken(directory: Path) -> None:
        write("second")(directory)
        path.mkdir()
        write("first")(path)

    assert write_checkpoint(tmp_path, path.name, overtaken) == path
    assert read(path) == "first"
    assert names(tmp_path) == [path.name]


def test_a_writer_that_fails_leaves_nothing(tmp_path):
    """Neither under the name nor beside it."""

    def fail(directory: Path) -> None:
        write()(directory)
        raise OSError("the network is gone")

    with pytest.raises(OSError, match="the network is gone"):
        write_checkpoint(tmp_path, "e1a1i0000007", fail)
    assert names(tmp_path) == []


def test_a_full_disk_is_told_and_left_as_it_was(small_disk):
    """The message says where there is no room; what was saved before stays whole."""
    before = write_checkpoint(small_disk, "e1a1i0000007", write())
    with pytest.raises(DiskFull) as caught:
        write_checkpoint(small_disk, "e1a1i0000014", write("w" * 3_000_000))
    failure = trouble(caught.value)
    assert failure.kind is FailureKind.DISK_FULL
    assert failure.message == f"no room for a checkpoint in {small_disk}"
    assert names(small_disk) == ["e1a1i0000007"]
    check(before)


@pytest.mark.parametrize("name", ["model", "config", "contents.json"])
def test_a_truncated_or_missing_file_is_told(tmp_path, name):
    """No part of a checkpoint may be cut short or absent."""
    path = write_checkpoint(tmp_path, "e1a1i0000007", write())
    content = (path / name).read_bytes()
    (path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointInvalid, match=str(path)):
        check(path)
    (path / name).unlink()
    with pytest.raises(CheckpointInvalid, match=str(path)):
        check(path)


def test_a_flipped_bit_is_told(tmp_path):
    """Weights that are not those that were saved are not trained on."""
    path = write_checkpoint(tmp_path, "e1a1i0000007", write())
    damage(path)
    with pytest.raises(CheckpointInvalid, match="model is damaged"):
        check(path)


def damage(path: Path) -> None:
    content = bytearray((path / "model").read_bytes())
    content[len(content) // 2] ^= 1
    (path / "model").write_bytes(content)


@pytest.fixture
def three(tmp_path) -> list[Path]:
    """Checkpoints of two attempts at 2, 4 and 6 iterations."""
    return [
        write_checkpoint(tmp_path, checkpoint_name(1, attempt, iteration), write(f"at {iteration}"))
        for attempt, iteration in ((1, 2), (1, 4), (2, 6))
    ]


def test_an_attempt_goes_on_from_its_checkpoint(tmp_path, three):
    """That which the driver names, though there be newer ones that it never heard of."""
    assert shelf(tmp_path, three[1], 4, attempt=3).resume(read) == ("at 4", None)
    assert names(tmp_path) == [three[0].name, three[1].name]
    assert shelf(tmp_path, attempt=4).resume(read) == (None, None)
    assert names(tmp_path) == []


def test_a_damaged_checkpoint_is_passed_over(tmp_path, three):
    """The one before is used, and what is wrong with each newer one is told."""
    damage(three[2])
    state, fell_back = shelf(tmp_path, three[2], 6, attempt=3).resume(read)
    assert state == "at 4"
    assert (fell_back.iteration, fell_back.reason) == (4, f"{three[2]}: model is damaged")


def test_without_a_whole_checkpoint_the_trial_begins_again(tmp_path, three):
    """All are damaged or gone: nothing is left to go on from, and that is no failure."""
    damage(three[0])
    (three[1] / "contents.json").unlink()
    damage(three[2])
    state, fell_back = shelf(tmp_path, tmp_path / "e1a2i0000008", 8, attempt=3).resume(read)
    assert (state, fell_back.iteration) == (None, 0)
    told = fell_back.reason.split("; ")
    assert [said.partition(":")[0] for said in told] == [
        str(tmp_path / name) for name in ("e1a2i0000008", "e1a2i0000006", "e1a1i0000004", "e1a1i0000002")
    ]


def test_the_last_two_of_an_open_trial_stay(tmp_path, three):
    """What nobody heard of goes at once, what is old when the driver has a newer one.

    Those of later attempts and strange files are left alone.
    """
    later, scrap = checkpoint_name(2, 1, 2), ".tmp-e1a2i0000009-77"
    for name in (later, scrap, "notes"):
        (tmp_path / name).mkdir()
    mine = shelf(tmp_path, three[2], 6, attempt=3)
    mine.resume(read)
    assert names(tmp_path) == sorted([three[1].name, three[2].name, later, "notes"])
    eight = mine.add(8, write())
    mine.tidy()
    assert names(tmp_path) == sorted([three[2].name, eight.name, later, "notes"])
    ten = mine.add(10, write())
    assert three[2].is_dir()
    mine.tidy()
    assert names(tmp_path) == sorted([eight.name, ten.name, later, "notes"])


def test_an_actor_that_comes_up_late_for_the_same_attempt_deletes_nothing_of_it(tmp_path, three):
    """Tune starts an actor, gives its trial to one that is free earlier, and kills the first."""
    late, mine = (shelf(tmp_path, three[1], 4, attempt=2) for _ in range(2))
    mine.resume(read)
    saved = mine.add(8, write())
    assert late.resume(read) == ("at 4", None)
    assert saved.is_dir()
