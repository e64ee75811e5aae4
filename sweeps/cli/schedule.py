"""`masksweep schedule`: sweeps that begin by themselves. Works on a home's store, or through `--server`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from sweeps.cli.options import HomeOption, JsonOption, checked_reason
from sweeps.cli.output import print_error, print_json, words
from sweeps.core.champion import CONFIDENCE
from sweeps.core.errors import SpecInvalid

app = typer.Typer(help="Sweeps that begin by themselves, at times of a cron rule.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(help="The schedule's name.", show_default=False)]


@app.command()
def add(
    name: NameArgument,
    spec: Annotated[Path, typer.Argument(help="The sweeps' spec, a YAML file.", show_default=False)],
    *,
    cron: Annotated[str, typer.Option(help='Five fields of cron, as "0 22 * * *".', show_default=False)],
    tz: Annotated[str, typer.Option(help="By whose clocks, as Europe/Berlin.")] = "UTC",
    window: Annotated[
        str | None,
        typer.Option(help="How long a night is, as 9h.", show_default=False),
    ] = None,
    gpu_hours: Annotated[
        float | None,
        typer.Option(help="Of a night; then its sweep pauses. Counts GPUs only.", show_default=False),
    ] = None,
    overlap: Annotated[
        str, typer.Option(help="While the last night still runs: skip, queue, cancel or continue.")
    ] = "skip",
    catch_up: Annotated[str, typer.Option(help="Missed nights to make up: skip, latest or all.")] = "latest",
    catch_up_limit: Annotated[int, typer.Option(help="How many nights `all` makes up.")] = 3,
    jitter: Annotated[
        str | None, typer.Option(help="Begin up to that much later, as 10m.", show_default=False)
    ] = None,
    warm_start: Annotated[
        bool, typer.Option("--warm-start/--cold-start", help="Whether new sweeps learn from earlier nights.")
    ] = True,
    confidence: Annotated[
        float,
        typer.Option(help="At which a night's best must be better to become champion, 0.5 to below 1."),
    ] = CONFIDENCE,
    priority: Annotated[int, typer.Option(help="Of its sweeps, -1000 to 1000; higher ones first.")] = 0,
    weight: Annotated[float, typer.Option(help="Of its sweeps, among those of their priority.")] = 1.0,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a schedule; whatever service runs on the store fires it."""
    from sweeps.cli.run import read_spec  # noqa: PLC0415 - imports the runner's seam
    from sweeps.cli.scheduled import where  # noqa: PLC0415 - imports the API

    document = {
        "name": name,
        "spec": read_spec(spec),
        "cron": cron,
        "timezone": tz,
        "window": window,
        "gpu_hours": gpu_hours,
        "overlap": overlap,
        "catch_up": catch_up,
        "catch_up_limit": catch_up_limit,
        "jitter": jitter,
        "warm_start": warm_start,
        "confidence": confidence,
        "priority": priority,
        "weight": weight,
    }
    given = {key: value for key, value in document.items() if value is not None}
    answer = _told(f"schedule {name}", lambda: where(home, create=True).add(given, spec.resolve().parent))
    for note in answer["notes"]:
        words.print(f"note: {note}", markup=False)
    _print_schedule(answer["schedule"], as_json=as_json)


@app.command()
def ls(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """List schedules: the next five fire times, and how the last nights went."""
    from sweeps.cli.scheduled import print_schedules, where  # noqa: PLC0415 - imports the API

    found = where(home).all()
    if as_json:
        print_json(found)
        return
    if found["schedules"]:
        print_schedules(found["schedules"])
    elif not found["unreadable"]:
        words.print("no schedules yet")
    for each in found["unreadable"]:
        words.print(f"{each['name']} cannot be read, and does not fire: {each['reason']}", markup=False)


@app.command()
def show(name: NameArgument, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Show a schedule: its rule, its next fire times, its nights and why they are what they are."""
    from sweeps.cli.scheduled import print_nights, where  # noqa: PLC0415 - imports the API

    place = where(home)
    found, nights = place.get(name), place.nights(name)
    if as_json:
        print_json({**found, "nights": nights})
        return
    _print_schedule(found, as_json=False)
    print_nights(nights)


@app.command()
def pause(
    name: NameArgument,
    reason: Annotated[str | None, typer.Option(help="Why; `show` tells it.", show_default=False)] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let it fire no more until it is resumed; a night that runs goes on."""
    from sweeps.cli.scheduled import where  # noqa: PLC0415 - imports the API

    _print_schedule(where(home).change(name, "pause", checked_reason(reason)), as_json=as_json)


@app.command()
def resume(name: NameArgument, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Let it fire again, from now on; what fell into the pause is not caught up."""
    from sweeps.cli.scheduled import where  # noqa: PLC0415 - imports the API

    _print_schedule(where(home).change(name, "resume", None), as_json=as_json)


@app.command()
def rm(name: NameArgument, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Remove a schedule; its nights and its champion stay, and a night that runs goes on."""
    from sweeps.cli.scheduled import where  # noqa: PLC0415 - imports the API

    _print_schedule(where(home).change(name, "remove", None), as_json=as_json)


@app.command()
def backfill(
    name: NameArgument,
    start: Annotated[str, typer.Argument(metavar="FROM", help="The first day or time, by its clocks.")],
    end: Annotated[str, typer.Argument(metavar="TO", help="The last one; a day with all its nights.")],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which nights these would be.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask for nights that did not take place; they come one after another, each with a whole window."""
    from sweeps.cli.scheduled import print_nights, where  # noqa: PLC0415 - imports the API

    answer = _told("backfill", lambda: where(home).backfill(name, start, end, dry_run=dry_run))
    if as_json:
        print_json(answer)
        return
    count, kept = len(answer["nights"]), len(answer["kept"])
    verb = "would be" if dry_run else "are"
    words.print(f"{count} night{'s' if count != 1 else ''} {verb} due", markup=False)
    if kept:
        words.print(f"{kept} took place, or {'are' if kept != 1 else 'is'} to, without it", markup=False)
    print_nights(answer["nights"])


def _told(subject: str, act: Any) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = act()
    except SpecInvalid as error:
        print_error(error, subject)
        raise typer.Exit(2) from None
    return answer


def _print_schedule(found: Mapping[str, Any], *, as_json: bool) -> None:
    from sweeps.cli.scheduled import print_schedule  # noqa: PLC0415 - imports the API

    if as_json:
        print_json(found)
    else:
        print_schedule(found)
