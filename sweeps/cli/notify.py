"""`masksweep notify`: try the places of the settings, and see what was told."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

import typer

from sweeps.bootstrap import open_service
from sweeps.cli.columns import Column, fitted_table
from sweeps.cli.options import HomeOption, JsonOption
from sweeps.cli.output import data, minute, print_json, words
from sweeps.core.errors import UserError
from sweeps.core.notices import DeliveryState, NoticeKind
from sweeps.invocation import caller
from sweeps.settings import Settings
from sweeps.store.outbox import Delivery, Outbox

app = typer.Typer(help="Notifications of the service.", no_args_is_help=True)


@app.command("test")
def try_places(as_json: JsonOption = False) -> None:
    """Send a test message to each place of MASKSWEEP_NOTIFY_URLS; say which did not take it."""
    from sweeps.notify.places import URLS, Place, read_places  # noqa: PLC0415 - imports Apprise
    from sweeps.notify.send import send_apart  # noqa: PLC0415 - imports Apprise

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
    """List the last deliveries: what was told where, and what waits."""
    deliveries = Outbox(open_service(Settings.load(home)).engine, caller()).last(limit)
    if as_json:
        print_json({"deliveries": [_document(each) for each in deliveries]})
    elif deliveries:
        data.print(_table(deliveries, time.time()))
    else:
        words.print("nothing was told yet")


def _document(each: Delivery) -> dict[str, Any]:
    return {
        "notification_id": each.notification_id,
        "place": each.place,
        "state": str(each.state),
        "kind": str(each.kind),
        "title": each.title,
        "body": each.body,
        "at": each.at,
        "attempts": each.attempts,
        "next_at": each.next_at if each.state is DeliveryState.WAITING else None,
        "by": each.by,
        "ended_at": each.ended_at,
        "error": each.error,
    }


def _table(deliveries: list[Delivery], now: float) -> Any:
    def how(each: Delivery) -> str:
        if each.state is not DeliveryState.WAITING or not each.error:
            return each.error or "-"
        return f"again in {max(0.0, each.next_at - now):.0f} s: {each.error}"

    columns = [
        Column("id", tuple(str(each.notification_id) for each in deliveries)),
        Column("state", tuple(str(each.state) for each in deliveries), left=True),
        Column("happened", tuple(minute(each.at) for each in deliveries), 1, left=True),
        Column("what", tuple(each.title for each in deliveries), left=True),
        Column("place", tuple(each.place for each in deliveries), 2, left=True),
        Column("attempts", tuple(str(each.attempts) for each in deliveries), 3),
        Column("error", tuple(how(each) for each in deliveries), 4, left=True),
    ]
    return fitted_table(columns, data.width)
