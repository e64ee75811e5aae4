"""Options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

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
