"""`masksweep notify`: try the places of the settings, and see what was told."""

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Annotated, Any

import typer
from rich.table import Table

from sweeps.cli.columns import Column, fitted_table
from sweeps.cli.options import HomeOption, JsonOption
from sweeps.cli.output import data, minute, print_json, words
from sweeps.cli.where import named_server, service_client
from sweeps.core.errors import UserError
from sweeps.core.notices import NoticeKind
from sweeps.invocation import caller
from sweeps.settings import Settings

_PAGE = 100
"""Deliveries that a service is asked for at once."""

app = typer.Typer(help="Notifications of the service.", no_args_is_help=True)


@app.command("test")
def try_places(as_json: JsonOption = False) -> None:
    """Send a test message to each place of MASKSWEEP_NOTIFY_URLS; say which did not take it."""
    from sweeps.notify.places import URLS, Place, read_places  # noqa: PLC0415 - imports Apprise
    from sweeps.notify.send import send_apart  # noqa: PLC0415 - imports Apprise

    if named_server():
        raise UserError(
            "--server: notify test works on this machine: it sends to the places of this environment",
            "leave --server out, and try it where the service runs",
        )
    places = read_places()
    if not places:
        raise UserError(f"{URLS} is not set: there is no place to notify", "it holds URLs")
    title, body = "masksweep: a test message", f"{caller()} tries whether messages of masksweep arrive here."

    def tried(place: Place) -> str | None:
        return send_apart(place, NoticeKind.NIGHT, title, body, threading.Event())

    with ThreadPoolExecutor(max_workers=len(places)) as pool:
        errors = list(pool.map(tried, places))
    rows: list[dict[str, Any]] = [
        {"place": place.place_id, "kinds": sorted(place.kinds), "error": error}
        for place, error in zip(places, errors, strict=True)
    ]
    if as_json:
        print_json({"places": rows})
    else:
        for row in rows:
            told = "it was sent" if row["error"] is None else f"failed: {row['error']}"
            data.print(f"{row['place']} ({', '.join(row['kinds'])}): {told}", markup=False, soft_wrap=True)
    if any(errors):
        raise typer.Exit(1)


@app.command()
def ls(
    *,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="So many deliveries, the newest.")] = 20,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the last deliveries: what was told where, and what waits. A service tells it to admins."""
    client = service_client(home)
    if client is None:
        from sweeps.bootstrap import open_service  # noqa: PLC0415 - imports SQLAlchemy
        from sweeps.deliveries import delivery_document  # noqa: PLC0415
        from sweeps.store.outbox import last_deliveries  # noqa: PLC0415

        found = last_deliveries(open_service(Settings.load(home)).engine, limit)
        deliveries = [delivery_document(each) for each in found]
    else:
        pages = client.pages("/notifications", "deliveries", limit=min(limit, _PAGE))
        deliveries = list(islice(pages, limit))
    if as_json:
        print_json({"deliveries": deliveries})
    elif deliveries:
        data.print(_table(deliveries, time.time()))
    else:
        words.print("nothing was told yet")


def _table(deliveries: Sequence[Mapping[str, Any]], now: float) -> Table:
    def how(each: Mapping[str, Any]) -> str:
        if each["next_at"] is None or not each["error"]:
            return each["error"] or "-"
        return f"again in {max(0.0, each['next_at'] - now):.0f} s: {each['error']}"

    def column(name: str, rank: int = 0, *, left: bool = True, folds: bool = False) -> Column:
        return Column(name, tuple(str(each[name]) for each in deliveries), rank, left, folds)

    columns = [
        Column("id", tuple(str(each["notification_id"]) for each in deliveries)),
        column("state"),
        Column("happened", tuple(minute(each["at"]) for each in deliveries), 1, left=True),
        Column("what", tuple(each["title"] for each in deliveries), left=True, folds=True),
        column("place", 2),
        column("attempts", 3, left=False),
        Column("error", tuple(how(each) for each in deliveries), 4, left=True),
    ]
    return fitted_table(columns, data.width)
