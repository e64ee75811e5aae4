"""Bounds the disk that checkpoints take: of open trials, of finalists, and of the best that has ended."""

import shutil
from pathlib import Path

from sweeps.core.progress import Progress


class Retention:
    """Deletes the checkpoints of a trial once it has ended, unless it may still be wanted.

    An open trial that leads may yet become INFEASIBLE, or worse: the best of the ended ones leads then. Where
    finalists are run again, each keeps those of its best run until all have ended. What was cut off keeps its
    own, since the sweep may be extended: that is at most what ran and waited at its end.

    Args:
        directory: Holds one directory a trial, named by its number in five digits or more.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._dropped: set[int] = set()

    def __call__(self, progress: Progress) -> None:
        """Deletes what this progress makes useless."""
        kept = {next(filter(self._there, group), None) for group in progress.kept}
        for number in progress.ended - progress.cut_off - self._dropped - kept:
            shutil.rmtree(self._of(number), ignore_errors=True)
            self._dropped.add(number)

    def _there(self, number: int) -> bool:
        return self._of(number).is_dir()

    def _of(self, number: int) -> Path:
        return self._directory / f"{number:05d}"
