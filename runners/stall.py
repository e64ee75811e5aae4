"""Ends a process in which nothing moves any more.

A data loader or a collective that waits for what never comes keeps its GPU for ever, and nobody is told: its
process is there, and Ray finds nothing wrong. Work says that it goes on; where it does not for too long, the
process leaves its last words and ends, and its trial goes on elsewhere like that of any worker that dies.
"""

import contextlib
import faulthandler
import math
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from sweeps.core.spec_fields import duration

GRACE_S = 60.0
"""More, and a process ends without last words: they cannot be written, or no Python runs in it."""

LONGEST_LOOK_S = 10.0
"""Between two looks."""

_moves = 0


def move() -> None:
    """Says that this process's work goes on: at each iteration, batch or step of an evaluation. Cheap."""
    global _moves  # noqa: PLW0603 - of the process, as the work is
    _moves += 1  # of two threads at once one may be lost: it is another number all the same


def moves() -> int:
    """How often it was said."""
    return _moves


@dataclass(frozen=True, eq=False, slots=True)
class _Watched:
    """A stretch of work, and where its last words go."""

    words: Path
    thread: int


class Stillness:
    """How long nothing has moved, as seen by somebody who looks now and then.

    Time in which nobody looked does not count beyond two looks: a process that was stopped, or a machine that
    slept, has not hung.
    """

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._seen: object = None
        self._looked_at = 0.0
        self._still_s = 0.0

    def look(self, now: float, sign: object) -> float:
        """Seconds for which a sign has been the same; `now` is of a clock that never goes back."""
        if sign != self._seen:
            self._seen, self._still_s = sign, 0.0
        else:
            self._still_s += min(now - self._looked_at, 2 * self._every_s)
        self._looked_at = now
        return self._still_s


class StallWatch:
    """Watches over the work of its process.

    Args:
        limit_s: Seconds without a move after which the process ends; infinity: never.
        end: Ends it, given where the last words go and what they are.
    """

    def __init__(self, limit_s: float, end: Callable[[Path, str], None] | None = None) -> None:
        self._limit_s, self._end = limit_s, end or _leave
        self._watched: _Watched | None = None
        self._watching = False

    @contextmanager
    def over(self, words: Path) -> Iterator[None]:
        """Watches over what this thread does.

        Args:
            words: The file for its last words, if it does not come back: a line for a reason, an empty one,
                and what each thread was at.
        """
        if math.isfinite(self._limit_s) and not self._watching:
            self._watching = True
            threading.Thread(target=self._watch, name="stall", daemon=True).start()
        move()
        self._watched = _Watched(words, threading.get_ident())
        try:
            yield
        finally:
            self._watched = None

    def _watch(self) -> None:
        limit_s = self._limit_s
        every_s = min(LONGEST_LOOK_S, limit_s / 10)
        stillness, pause = Stillness(every_s), threading.Event()
        while not pause.wait(every_s):
            watched = self._watched
            still_s = stillness.look(time.monotonic(), (watched, moves()))
            if watched is None:
                faulthandler.cancel_dump_traceback_later()
                continue
            if still_s >= limit_s:
                self._end(watched.words, _last_words(watched.thread, limit_s))
                break
            # Of C, so that it ends this process also where this thread does not come to run, or to write.
            faulthandler.dump_traceback_later(limit_s + GRACE_S, exit=True, file=2)
        faulthandler.cancel_dump_traceback_later()


def _last_words(thread: int, limit_s: float) -> str:
    frames = sys._current_frames()
    stacks = [frames.pop(thread), *frames.values()]
    told = [traceback.format_stack(frame) for frame in stacks]
    innermost = traceback.extract_stack(stacks[0])[-1]
    where = f"{innermost.name} ({os.path.basename(innermost.filename)}:{innermost.lineno})"
    reason = f"nothing moved in it for {duration(limit_s)}, it was in {where}"
    return "\n\n".join([reason, *("".join(stack) for stack in told)])


def write_words(words: Path, text: str) -> None:
    """Writes last words, if that can be done."""
    with contextlib.suppress(OSError):
        words.parent.mkdir(parents=True, exist_ok=True)
        words.write_text(text)


def _leave(words: Path, text: str) -> NoReturn:
    write_words(words, text)
    os._exit(1)
