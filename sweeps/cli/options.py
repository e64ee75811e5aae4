"""Options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

from sweeps.core.errors import UserError

MAX_REASON = 500

HomeOption = Annotated[
    Path | None,
    typer.Option("--home", help="Directory for everything kept; else MASKSWEEP_HOME, else ./masksweep-home."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
WaitOption = Annotated[bool, typer.Option("--wait", help="Return only once it is carried out.")]
RayOption = Annotated[
    str | None, typer.Option("--ray-address", help="A running Ray cluster; else one is started here.")
]
SweepArgument = Annotated[
    str, typer.Argument(help="The sweep's id, or a unique beginning of it.", show_default=False)
]


def checked_reason(reason: str | None) -> str | None:
    """A reason on one line.

    Raises:
        UserError: It is empty, long, or not text.
    """
    if reason is None:
        return None
    text = " ".join(reason.split())
    if not text or len(text) > MAX_REASON or not text.isprintable():
        raise UserError(f"--reason: got {reason[:40]!r}, but needs text of 1 to {MAX_REASON} characters")
    return text
