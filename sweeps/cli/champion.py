"""`masksweep champion`: the best model that a schedule has found, and how it was judged."""

from pathlib import Path
from typing import Annotated

import typer

from sweeps.cli.options import HomeOption, JsonOption, checked_reason
from sweeps.cli.where import service_client

app = typer.Typer(help="The best models that schedules have found.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(help="The schedule's name.", show_default=False)]

VersionOption = Annotated[
    int | None,
    typer.Option(
        "--version",
        min=1,
        help="Which champion of the schedule; by default the reigning one.",
        show_default=False,
    ),
]


@app.command()
def ls(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """List each schedule's champion."""
    from sweeps.cli import champions  # noqa: PLC0415 - imports the store

    champions.list_champions(home, service_client(home), as_json=as_json)


@app.command()
def show(
    name: NameArgument, version: VersionOption = None, home: HomeOption = None, as_json: JsonOption = False
) -> None:
    """Show a champion: what it is, how to read it, and what was decided of each night."""
    from sweeps.cli import champions  # noqa: PLC0415 - imports the store

    champions.show_champion(name, version, home, service_client(home), as_json=as_json)


@app.command()
def retire(
    name: NameArgument,
    reason: Annotated[str | None, typer.Option(help="Why; `show` tells it.", show_default=False)] = None,
    version: Annotated[
        int | None,
        typer.Option(
            "--version",
            min=1,
            help="Only this one, and none that came after it; by default the last one.",
            show_default=False,
        ),
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a champion that nothing can restore out of the way: the next night's best becomes one."""
    from sweeps.cli import champions  # noqa: PLC0415 - imports the store

    why = checked_reason(reason)
    champions.retire(name, version, why, home, service_client(home), as_json=as_json)


@app.command()
def export(
    name: NameArgument,
    directory: Annotated[Path, typer.Argument(help="Where to put it; it must not be there.")],
    version: VersionOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Copy a champion's config, inference settings and weights."""
    from sweeps.cli import champions  # noqa: PLC0415 - imports the store

    champions.export_champion(name, version, directory, home, as_json=as_json)


@app.command()
def predict(
    name: NameArgument,
    images: Annotated[list[Path], typer.Argument(help="Image files.", show_default=False)],
    *,
    out: Annotated[
        Path, typer.Option(help="Directory for an overlay of each image and one COCO file.")
    ] = Path("predictions"),
    version: VersionOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Segment images with a champion, at its own inference settings."""
    from sweeps.cli import champions  # noqa: PLC0415 - imports the store

    raise typer.Exit(champions.predict_images(name, version, images, out, home, as_json=as_json))
