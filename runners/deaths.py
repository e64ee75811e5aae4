"""Why a worker died, in one line out of what Ray says of it."""

import re

_LONGEST = 300
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_KILLED_FOR_MEMORY = re.compile(
    r"^.*\bkilled due to the node running low on memory\..*?was (?P<used>[\d.]+GB used / [\d.]+GB)",
    re.MULTILINE,
)
_PROCESS_DIED = re.compile(
    r"Worker exit type: \w+ Worker exit detail: (?P<detail>.+?)(?: Some common causes.*)?$",
    re.MULTILINE,
)


def killed_for_memory(text: str) -> str:
    """How much memory the node used when Ray's memory monitor killed a worker; "" if it died otherwise.

    Args:
        text: Ray's report of an actor's or a task's end.
    """
    killed = _KILLED_FOR_MEMORY.search(_COLOURS.sub("", text))
    return killed["used"] if killed else ""


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
