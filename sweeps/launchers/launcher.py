"""What starts the processes that drive sweeps, and finds them again."""

from typing import Protocol

from sweeps.core.errors import UserError


class LauncherUnavailable(UserError):
    """The launcher cannot be asked now, as a cluster that does not answer; nobody knows what it has done."""


class Launcher(Protocol):
    """Starts, looks at and stops the processes of drivers. A handle is text, kept in the store.

    All methods may raise LauncherUnavailable.
    """

    def start(self, sweep_id: str, number: int) -> str:
        """Starts a driver's process; returns its handle without waiting for its first word.

        Args:
            sweep_id: The sweep.
            number: Of its launch, from 1: called at most once with each.
        """

    def find(self, sweep_id: str, number: int) -> str | None:
        """The handle of a launch whose `start` may have been cut off; None: as far as known there is none."""

    def alive(self, handle: str) -> bool | None:
        """Whether the process lives; None if that cannot be told from here."""

    def stop(self, handle: str, *, force: bool = False) -> None:
        """Tells a process to pause its sweep and end, or with `force` ends it; it may be gone already."""

    def output(self, handle: str) -> str:
        """The end of what the process printed, some lines at most; empty if it is not to be had."""
