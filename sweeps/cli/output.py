"""Where words and data go: words to stderr, data to stdout."""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console

from sweeps.core.errors import SpecInvalid, UserError

# No emoji: `:x:` in a message or a path is what somebody wrote.
words = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)
# A pipe or a file has no width: tables are not wrapped there, so that lines stay lines.
data = Console(highlight=False, width=None if sys.stdout.isatty() else 250, emoji=False)


def print_json(document: Mapping[str, object]) -> None:
    """One JSON document on stdout. NaN and infinity are no JSON, and are refused."""
    sys.stdout.write(json.dumps(document, indent=2, allow_nan=False) + "\n")
    sys.stdout.flush()


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
