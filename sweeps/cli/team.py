"""The commands that only make sense with a service that a team shares."""

from pathlib import Path
from typing import Annotated

import typer

from sweeps.cli.options import HomeOption, JsonOption
from sweeps.cli.output import print_error
from sweeps.core.errors import SpecInvalid
from sweeps.settings import Settings


def submit(
    spec: Annotated[Path, typer.Argument(help="The sweep's spec, a YAML file.", show_default=False)],
    *,
    priority: Annotated[int, typer.Option(min=-1000, max=1000, help="Higher ones first.")] = 0,
    weight: Annotated[
        float, typer.Option(min=0.001, max=1000, help="Share of the pool among those of its priority.")
    ] = 1.0,
    key: Annotated[
        str | None, typer.Option(help="Submitting again under the same key makes no second sweep.")
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a sweep wait for a driver that a service starts; print its id."""
    from sweeps.cli.submit import submit_spec  # noqa: PLC0415 - imports the API
    from sweeps.store.submissions import Rank  # noqa: PLC0415 - only this ranks

    try:
        submit_spec(spec, home, key=key, rank=Rank(priority, weight), as_json=as_json)
    except SpecInvalid as error:
        print_error(error, str(spec))
        raise typer.Exit(2) from None


def events(
    sweep_id: Annotated[
        str | None, typer.Argument(help="Of this sweep alone; else of all.", show_default=False)
    ] = None,
    *,
    after: Annotated[int, typer.Option(min=0, help="Behind the event with this number.")] = 0,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with what happens, on a service.")] = False,
    home: HomeOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document a line.")] = False,
) -> None:
    """Show what happened: who did what, and when."""
    from sweeps.cli.submit import print_events  # noqa: PLC0415 - imports the API

    print_events(sweep_id, home, after=after, follow=follow, as_json=as_json)


def serve(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0: any that is free.")] = 8757,
    supervise: Annotated[
        bool, typer.Option("--supervise/--no-supervise", help="Whether to fire schedules and drive sweeps.")
    ] = True,
    certificate: Annotated[
        Path | None, typer.Option("--tls-certificate", help="PEM file; then it is HTTPS.", exists=True)
    ] = None,
    key: Annotated[
        Path | None, typer.Option("--tls-key", help="PEM file of the certificate's key.", exists=True)
    ] = None,
    proxy: Annotated[
        list[str] | None,
        typer.Option(help="Address of a reverse proxy, which says whose requests it passes on. Repeatable."),
    ] = None,
    home: HomeOption = None,
) -> None:
    """Run the service that a team shares: the API, and the drivers of what is submitted."""
    from sweeps.cli.serve import Listening, serve  # noqa: PLC0415 - imports the web server

    listening = Listening(host, port, certificate, key, tuple(proxy or ()))
    serve(Settings.load(home), listening, supervise=supervise)


def add_commands(app: typer.Typer) -> None:
    """Adds them to the program."""
    for command in (submit, events, serve):
        app.command()(command)
