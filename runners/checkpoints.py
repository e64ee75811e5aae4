"""Checkpoint directories: whole or absent, checked when they are read, and no more of them than are needed.

A trial's directory holds one directory a checkpoint, `e<epoch>a<attempt>i<iteration>`, so that a worker of a
dead driver can disturb none of a living one's. It is written beside its final place, as `.tmp-...`, and
renamed when all of it is on the disk; `contents.json` in it has the size and the CRC-32 of every other file.
What has the name was whole once, and what still agrees with `contents.json` is whole now.
"""

import errno
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sweeps.contents import damages, read_contents, write_contents
from sweeps.core.trial import Assignment, Failure, FailureKind, FellBack

KEPT = 2
"""Checkpoints that an open trial keeps: one whose newest is damaged goes on from the one before."""

SCRAP = ".tmp-"
"""How the name of a checkpoint begins that is being written, or whose writer died."""

_NAME = re.compile(r"(?:\.tmp-)?e(\d+)a(\d+)i(\d{7,})(?:-\d+)?")
_FULL = (errno.ENOSPC, errno.EDQUOT)
_T = TypeVar("_T")


class CheckpointInvalid(Exception):
    """A checkpoint is absent, incomplete or damaged."""


class DiskFull(OSError):
    """There is no room, or a quota is used up; the message says for what and where."""


def checkpoint_name(epoch: int, attempt: int, iteration: int) -> str:
    """The directory's name; names of one trial sort by age within an attempt."""
    return f"e{epoch}a{attempt}i{iteration:07d}"


def write_checkpoint(directory: Path, name: str, write: Callable[[Path], None]) -> Path:
    """Makes a checkpoint and returns its directory, which appears all at once; nothing if it is there.

    Args:
        directory: The trial's directory; made if absent.
        name: From `checkpoint_name`.
        write: Writes the files into the empty directory that it gets.

    Raises:
        DiskFull: There is no room for it; what was written is gone again.
        OSError: It could not be written for another reason.
    """
    final = directory / name
    if final.is_dir():
        return final
    directory.mkdir(parents=True, exist_ok=True)
    temporary = directory / f"{SCRAP}{name}-{os.getpid()}"
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir()
        write(temporary)
        write_contents(temporary)
        for path in (*temporary.iterdir(), temporary):
            _sync(path)
        temporary.rename(final)
    except Exception as error:
        if is_full(error):  # as torch has it, wrapped in complaints of its own
            raise DiskFull(f"no room for a checkpoint in {directory}") from error
        # If somebody was faster: rename(2) never replaces a directory that has files in it.
        if not (isinstance(error, OSError) and final.is_dir()):
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    _sync(directory)
    return final


def check(path: Path, counts: Callable[[str], bool] = lambda _: True) -> None:
    """Compares a checkpoint's files with what was written.

    Args:
        path: Its directory.
        counts: Whether a file of that name matters.

    Raises:
        CheckpointInvalid: It is absent, incomplete or damaged.
    """
    try:
        first = next(damages(path, read_contents(path), counts=counts), None)
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error
    if first is not None:
        raise CheckpointInvalid(f"{path}: {first}")


def unreadable(path: Path, error: Exception) -> CheckpointInvalid:
    """The error of a checkpoint that cannot be read."""
    return CheckpointInvalid(f"{path}: no readable checkpoint ({type(error).__name__}: {error})")


def trouble(error: Exception) -> Failure:
    """The failure of an attempt that could not go on for a reason that may pass."""
    said = str(error) if isinstance(error, DiskFull) else f"{type(error).__name__}: {error}"
    kind = FailureKind.DISK_FULL if is_full(error) else FailureKind.ERROR
    return Failure(kind, " ".join(said.split())[:500])


def is_full(error: BaseException | None) -> bool:
    """Whether an error comes from a disk without room, or a quota that is used up."""
    while error is not None:
        if isinstance(error, DiskFull) or (isinstance(error, OSError) and error.errno in _FULL):
            return True
        error = error.__cause__ or error.__context__
    return False


class Shelf:
    """The checkpoints of one trial, as an attempt uses them: resumes from one, adds others, drops old ones.

    Args:
        assignment: The attempt.
    """

    def __init__(self, assignment: Assignment) -> None:
        self._assignment, self._directory = assignment, Path(assignment.directory)
        self._kept: list[str] | None = None  # until `resume` nothing is known of what may go

    def resume(self, read: Callable[[Path], _T]) -> tuple[_T | None, FellBack | None]:
        """What the attempt goes on from: the assigned checkpoint, or else the newest before it that is whole.

        Args:
            read: Reads a directory whose files are those that were written; raises CheckpointInvalid.

        Returns:
            What `read` gave, None to start from nothing; and what there is to tell if it is not the
            assigned one.
        """
        state, problems = None, list[str]()
        candidates: list[Path] = []
        if self._assignment.checkpoint is not None:
            candidates = [Path(self._assignment.checkpoint), *self._before(self._assignment.iteration)]
        while candidates:
            try:
                check(candidates[0])
                state = read(candidates[0])
                break
            except CheckpointInvalid as error:
                problems.append(str(error))
                del candidates[0]
        self._kept = [path.name for path in reversed(candidates[:KEPT])]
        # Else what earlier attempts left, and the driver never heard of, would grow with each. What this one
        # wrote stays: Tune may have given this actor up while it came up, as another was free earlier.
        self._drop(older_than=self._me)
        if not problems:
            return state, None
        return state, FellBack(_iteration(candidates[0]) if candidates else 0, "; ".join(problems))

    def add(self, iteration: int, write: Callable[[Path], None]) -> Path:
        """Makes the checkpoint of this moment, as `write_checkpoint` does."""
        name = checkpoint_name(self._assignment.epoch, self._assignment.attempt, iteration)
        path = write_checkpoint(self._directory, name, write)
        self._kept = [*(kept for kept in self._kept or () if kept != name), name]
        return path

    def tidy(self) -> None:
        """Deletes what is no longer needed once the driver has answered, and so has the newest in its store.

        That is, whole or half-written, all of this and earlier attempts but the last few. What a later
        attempt wrote is never touched: this process may be a leftover.
        """
        if self._kept is not None:
            self._kept = self._kept[-KEPT:]
            epoch, attempt = self._me
            self._drop(older_than=(epoch, attempt + 1))

    def _drop(self, older_than: tuple[int, int]) -> None:
        """Deletes what is not kept, of attempts before (epoch, attempt)."""
        for path in self._directory.iterdir() if self._directory.is_dir() else ():
            match = _NAME.fullmatch(path.name)
            if match and path.name not in (self._kept or ()) and (int(match[1]), int(match[2])) < older_than:
                shutil.rmtree(path, ignore_errors=True)

    @property
    def _me(self) -> tuple[int, int]:
        return self._assignment.epoch, self._assignment.attempt

    def _before(self, iteration: int) -> list[Path]:
        """The trial's checkpoints of fewer iterations, newest first."""
        there = self._directory.iterdir() if self._directory.is_dir() else ()
        whole = [path for path in there if _NAME.fullmatch(path.name) and not path.name.startswith(SCRAP)]
        older = [path for path in whole if _iteration(path) < iteration]
        return sorted(older, key=lambda path: (_iteration(path), path.name), reverse=True)


def _iteration(path: Path) -> int:
    match = _NAME.fullmatch(path.name)
    return int(match[3]) if match else 0


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
