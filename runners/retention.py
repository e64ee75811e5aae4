"""Bounds the disk that checkpoints take: of open trials, of the best that have ended, and nothing else."""

import shutil
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from runners.checkpoints import SCRAP
from sweeps.core.progress import Progress


class Retention:
    """Deletes the checkpoints of trials that have ended, but for the last one of those worth keeping.

    An open trial that leads may yet become INFEASIBLE, or worse: the best of the ended ones leads then. Where
    finalists are run again, each keeps that of its best run until all have ended. What was cut off keeps its
    last one, since the sweep may be extended: that is at most what ran and waited at its end.

    Args:
        directory: Holds one directory a trial, named by its number in five digits or more.
        checkpoint_of: The directory of a trial's last checkpoint that the store has, or None.
        every_run: Whether all runs of a finalist keep theirs: a schedule holds them against its champion's.
    """

    def __init__(
        self, directory: Path, checkpoint_of: Callable[[int], str | None], *, every_run: bool = False
    ) -> None:
        self._directory, self._checkpoint_of, self._every_run = directory, checkpoint_of, every_run
        self._dropped: set[int] = set()
        self._trimmed: set[int] = set()

    def __call__(self, progress: Progress) -> None:
        """Deletes what this progress makes useless."""
        kept = self._kept(progress)
        self._trimmed &= progress.ended  # others go on in an extended sweep
        for number in progress.ended - self._dropped - kept:
            shutil.rmtree(self._of(number), ignore_errors=True)
            self._dropped.add(number)
        for number in (progress.ended & kept) - self._trimmed:
            self._trim(number)
            self._trimmed.add(number)

    def sweep(self, progress: Progress) -> None:
        """Deletes all that is useless, whoever left it there; while no trial runs."""
        kept = self._kept(progress)
        for place in self._directory.iterdir() if self._directory.is_dir() else ():
            if not place.name.isdecimal():
                continue
            number = int(place.name)
            if number in progress.ended and number not in kept:
                shutil.rmtree(place, ignore_errors=True)
            elif number in progress.ended:
                self._trim(number)
            else:
                for scrap in place.glob(f"{SCRAP}*"):
                    shutil.rmtree(scrap, ignore_errors=True)

    def _kept(self, progress: Progress) -> set[int]:
        most = None if self._every_run else 1
        groups = (islice(filter(self._there, group), most) for group in progress.kept)
        return {number for group in groups for number in group} | progress.cut_off

    def _trim(self, number: int) -> None:
        last, place = self._checkpoint_of(number), self._of(number)
        for path in place.iterdir() if place.is_dir() else ():
            if str(path) != last:
                shutil.rmtree(path, ignore_errors=True)

    def _there(self, number: int) -> bool:
        return self._of(number).is_dir()

    def _of(self, number: int) -> Path:
        return self._directory / f"{number:05d}"
