"""Sends one message, in a process of its own: `python -m sweeps.notify.send`.

Whatever a place does, hang included, ends with the process, and what libraries log of its URL stays in it.
Stdin takes a JSON document with `url`, `title`, `body` and `kind`; stdout gives one with `error`, null if it
was sent.
"""

import json
import logging
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from urllib.parse import unquote

import apprise

from sweeps.core.notices import NoticeKind
from sweeps.notify.places import Place

SEND_S = 30.0
"""Seconds that a place has to take a message."""

STOP_S = 2.0
"""Seconds that it still has when the service stops."""

_SLICE_S = 0.1
_MOST_SAID = 300  # characters of an error

_TYPES = {
    NoticeKind.NIGHT: apprise.NotifyType.INFO,
    NoticeKind.CHAMPION: apprise.NotifyType.SUCCESS,
    NoticeKind.FAILED: apprise.NotifyType.FAILURE,
    NoticeKind.DEADLINE: apprise.NotifyType.WARNING,
}

Send = Callable[[Place, NoticeKind, str, str, threading.Event], str | None]
"""Sends a kind of message, its title and its body to a place; why it could not, or None. Once the event is
set it ends early."""


def send_apart(
    place: Place, kind: NoticeKind, title: str, body: str, stop: threading.Event, *, limit_s: float = SEND_S
) -> str | None:
    """Sends a message from a process of its own, which is killed if the place does not answer.

    Args:
        place: Where to.
        kind: What is told: some places give it a colour.
        title: A line.
        body: Plain text.
        stop: Once it is set, the place has two more seconds.
        limit_s: Seconds that it has.

    Returns:
        Why it was not sent, as far as is known, without what the URL holds; None: it was.
    """
    message = json.dumps({"url": place.url, "title": title, "body": body, "kind": kind.value})
    command = [sys.executable, "-m", "sweeps.notify.send"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        start_new_session=True,  # a Ctrl-C for the service is not for a message that is being sent
    )  # fmt: skip
    until = time.monotonic() + limit_s
    given: str | None = message
    try:
        while True:
            try:
                out, _ = process.communicate(given, timeout=_SLICE_S)
                return _answer(out, process.returncode)
            except subprocess.TimeoutExpired:
                given = None
            if stop.is_set():
                until = min(until, time.monotonic() + STOP_S)
            if time.monotonic() >= until:
                return "the service stopped meanwhile" if stop.is_set() else f"no answer within {limit_s:g} s"
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def _answer(out: str, code: int) -> str | None:
    try:
        error = json.loads(out)["error"]
    except (ValueError, KeyError):
        return f"the process that sends ended with {code}"
    return None if error is None else str(error)


class _Heard(logging.Handler):
    """Keeps what is said of troubles."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def send_here(url: str, title: str, body: str, kind: NoticeKind) -> str | None:
    """Sends a message to a URL; why it could not, without what the URL holds, or None."""
    log, heard = logging.getLogger("apprise"), _Heard()
    log.addHandler(heard)
    log.propagate = False
    try:
        place = apprise.Apprise()
        place.add(url)
        text = apprise.NotifyFormat.TEXT
        if place.notify(body=body, title=title, notify_type=_TYPES[kind], body_format=text):
            return None
    finally:
        log.removeHandler(heard)
    return without_parts_of(url, " / ".join(heard.lines) or "it was not taken")[:_MOST_SAID]


def without_parts_of(url: str, text: str) -> str:
    """A text in which stars replace whatever stands in a URL behind its scheme: hosts may be tokens."""
    rest = url.partition("://")[2]
    parts = {part for each in (rest, unquote(rest)) for part in re.split(r"[/:@?&=#,+\s]+", each)}
    for part in sorted((part for part in parts if len(part) > 2), key=len, reverse=True):
        text = text.replace(part, "***")
    return text


def main() -> None:
    """Reads a message, sends it, says how that went."""
    message = json.load(sys.stdin)
    stdout, sys.stdout = sys.stdout, sys.stderr  # what libraries print is no answer
    try:
        error = send_here(message["url"], message["title"], message["body"], NoticeKind(message["kind"]))
    except Exception as trouble:  # its text may hold the URL
        error = f"{type(trouble).__name__} while sending"
    stdout.write(json.dumps({"error": error}))
    stdout.flush()


if __name__ == "__main__":
    main()
