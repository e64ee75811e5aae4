"""Bounds the disk that checkpoints take: those of open trials, and the leader's."""

import shutil
from pathlib import Path

from sweeps.core.progress import Progress


class Retention:
    """Deletes the checkpoints of a trial once it has ended, unless it leads; a fallen leader's go too.

    Args:
        directory: Holds one directory a trial, named by its number in five digits.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._dropped: set[int] = set()

    def __call__(self, progress: Progress) -> None:
        """Deletes what this progress makes useless."""
        leader = progress.best.number if progress.best else None
        for number in progress.ended - self._dropped - {leader}:
            shutil.rmtree(self._directory / f"{number:05d}", ignore_errors=True)
            self._dropped.add(number)
