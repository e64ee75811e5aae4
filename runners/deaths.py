"""Why a worker died, in one line out of what Ray says of it."""

import re

_LONGEST = 300
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_PROCESS_DIED = re.compile(
    r"Worker exit type: \w+ Worker exit detail: (?P<detail>.+?)(?: Some common causes.*)?$",
    re.MULTILINE,
)


def cause_of_death(text: str) -> str:
    """The last line of an error that the worker raised, or how its process ended; "" if nothing is known.

    Args:
        text: Ray's report of an actor's or a task's end.
    """
    text = _COLOURS.sub("", text)
    if died := _PROCESS_DIED.search(text):
        return died["detail"][:_LONGEST]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:_LONGEST] if lines else ""
