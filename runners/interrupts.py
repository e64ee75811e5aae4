"""Ctrl-C, termination and a closed terminal: a stop at the next checkpoint, then an end at once."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, TypeAlias

_Handler: TypeAlias = Callable[[int, FrameType | None], Any] | int | signal.Handlers | None
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Answers the signals that ask a driver to stop, from its start to its end; on the main thread.

    A signal raises KeyboardInterrupt as long as there is nothing to save. After `listen` the first one calls
    `first`, and any later one calls `again` and raises KeyboardInterrupt. After `ignore` none does anything,
    and after `let_go` it is as at the beginning. A hang-up that the process ignores from its start, as under
    nohup, stays ignored.
    """

    def __init__(self) -> None:
        self._first: Callable[[], None] | None = None
        self._again: Callable[[], None] = lambda: None
        self._asked = self._ignored = self._heard = False
        self._before: dict[signal.Signals, _Handler] = {}

    def __enter__(self) -> "Interrupts":
        for signum in _SIGNALS:
            handler = signal.getsignal(signum)
            if signum is signal.SIGHUP and handler is signal.SIG_IGN:
                continue
            self._before[signum] = handler
        self._install()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, signal.SIG_DFL if handler is None else handler)

    @contextmanager
    def starting(self) -> Iterator[None]:
        """Around the start of Ray, which cannot be broken off in the middle without a crash at the exit.

        The first signal waits for the end of the block and raises KeyboardInterrupt there; a second one does
        at once. SIGTERM waits in any case: Ray sets a handler of its own, which would exit.
        """
        self._first = lambda: None
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        try:
            yield
        finally:
            self._install()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
            asked, self._asked, self._first = self._asked, False, None
        if asked:
            raise KeyboardInterrupt

    def listen(self, first: Callable[[], None], again: Callable[[], None]) -> None:
        """From here on there is something to save."""
        self._first, self._again = first, again

    def ignore(self) -> None:
        """From here on all is saved, and what is left to do is short and must be done."""
        self._ignored = True

    def nap(self, seconds: float) -> None:
        """Sleeps. Waiting for others is not short: here a signal counts even where it is ignored otherwise.

        Raises:
            KeyboardInterrupt: One came before, or meanwhile.
        """
        if not self._heard:
            time.sleep(seconds)
        if self._heard:
            raise KeyboardInterrupt

    def let_go(self) -> None:
        """From here on all is done, or can be done later."""
        self._ignored, self._first, self._again = False, None, lambda: None

    def _install(self) -> None:
        for signum in self._before:
            signal.signal(signum, self._handle)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if self._ignored:
            self._heard = True
            return
        if self._first is None or self._asked:
            self._again()
            raise KeyboardInterrupt
        self._asked = True
        self._first()
