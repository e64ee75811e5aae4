"""Bounds the disk that checkpoints take: those of open trials, and of the best that has ended."""

import shutil
from pathlib import Path

from sweeps.core.progress import Progress


class Retention:
    """Deletes the checkpoints of a trial once it has ended, unless it is the best of those.

    An open trial that leads may yet become INFEASIBLE, or worse: the best of the ended ones leads then.

    Args:
        directory: Holds one directory a trial, named by its number in five digits.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._dropped: set[int] = set()

    def __call__(self, progress: Progress) -> None:
        """Deletes what this progress makes useless."""
        for number in progress.ended - self._dropped - {progress.kept}:
            shutil.rmtree(self._directory / f"{number:05d}", ignore_errors=True)
            self._dropped.add(number)
