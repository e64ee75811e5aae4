"""Where words and data go: words to stderr, data to stdout."""

import contextlib
import io
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Literal, TextIO, cast

from rich.console import Console

from sweeps.core.errors import SpecInvalid, UserError


class Steady(io.TextIOBase):
    """One of the standard streams, for which being closed at the other end is no error.

    A reader that has seen enough, or a terminal that is gone, must not end what writes. From the first
    failure on what is written there goes nowhere, that of libraries too.

    Args:
        name: `stdout` or `stderr`; looked up at each write, since both are replaced at times.
    """

    def __init__(self, name: Literal["stdout", "stderr"]) -> None:
        self._name = name

    @property
    def encoding(self) -> str:  # type: ignore[override]  # the base class has an attribute
        """The stream's."""
        return self._stream().encoding

    def isatty(self) -> bool:
        """Whether somebody watches."""
        return self._stream().isatty()

    def fileno(self) -> int:
        """The stream's."""
        return self._stream().fileno()

    def write(self, text: str) -> int:
        """Writes, or does nothing; what the stream's encoding lacks is written out by its number."""
        try:
            try:
                return self._stream().write(text)
            except UnicodeEncodeError as error:
                escaped = text.encode(error.encoding, "backslashreplace").decode(error.encoding)
                return self._stream().write(escaped)
        except OSError:
            self._close()
            return len(text)

    def flush(self) -> None:
        """Flushes, or does nothing."""
        try:
            self._stream().flush()
        except OSError:
            self._close()

    def _stream(self) -> TextIO:
        stream: TextIO = getattr(sys, self._name)
        # While rich shows a live table it stands in for the streams, and would print to itself.
        return getattr(stream, "rich_proxied_file", stream)

    def _close(self) -> None:
        with contextlib.suppress(OSError), open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), self.fileno())


# No emoji: `:x:` in a message or a path is what somebody wrote.
words = Console(file=cast(IO[str], Steady("stderr")), highlight=False, soft_wrap=True, emoji=False)
# A pipe or a file has no width: tables are not wrapped there, so that lines stay lines.
_width = None if sys.stdout.isatty() else 250
data = Console(file=cast(IO[str], Steady("stdout")), highlight=False, width=_width, emoji=False)


def print_json(document: Mapping[str, object]) -> None:
    """One JSON document on stdout. NaN and infinity are no JSON, and are refused."""
    stdout = Steady("stdout")
    stdout.write(json.dumps(document, indent=2, allow_nan=False) + "\n")
    stdout.flush()


def print_error(error: UserError, subject: str | None = None) -> None:
    """A user's mistake: what is wrong, then after a blank line what to do. No traceback."""
    if isinstance(error, SpecInvalid):
        count = len(error.issues)
        head = f"{subject or 'spec'}: {count} problem{'s' if count != 1 else ''}"
        words.print(head, style="bold red", markup=False)
        for issue in error.issues:
            words.print(
                f"  {issue.path}: {issue.problem}" if issue.path else f"  {issue.problem}", markup=False
            )
            if issue.hint:
                words.print(f"      hint: {issue.hint}", style="dim", markup=False)
    else:
        words.print(f"error: {error}", style="bold red", markup=False)
        if error.hint:
            words.print(f"\nhint: {error.hint}", markup=False)


@contextmanager
def stdout_kept_clean() -> Iterator[None]:
    """Sends what libraries, and the processes they start, write to stdout to stderr instead.

    Whoever reads our stdout gets our document and nothing else.
    """
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        os.dup2(2, 1)
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def minute(at: float) -> str:
    """A moment of this place's clock, to the minute; `at` is in seconds since the Unix epoch."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
