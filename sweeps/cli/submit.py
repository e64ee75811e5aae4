"""`masksweep submit` and `masksweep events`: on a service, or on a home's own store."""

import time
from pathlib import Path

from sweeps.api.config import ServiceConfig
from sweeps.api.context import Core
from sweeps.api.documents import event_out
from sweeps.api.paths import DataRoots
from sweeps.api.submitting import checked_spec, take_in
from sweeps.bootstrap import open_service
from sweeps.cli.output import data, print_json, words
from sweeps.cli.remote import events as remote_events
from sweeps.cli.remote import print_event
from sweeps.cli.remote import submit as remote_submit
from sweeps.cli.run import read_spec
from sweeps.cli.where import service_client
from sweeps.core.errors import UserError
from sweeps.invocation import caller
from sweeps.settings import Settings
from sweeps.store.submissions import Rank


def submit_spec(path: Path, home: Path | None, *, key: str | None, rank: Rank, as_json: bool) -> None:
    """Lets a sweep wait for a driver that a service starts.

    Raises:
        SpecInvalid: With every problem of the spec.
        UserError: The file cannot be read, or the service refuses.
    """
    text = read_spec(path)
    client = service_client(home)
    if client is not None:
        remote_submit(client, text, key=key, priority=rank.priority, weight=rank.weight, as_json=as_json)
        return
    settings = Settings.load(home)
    # who has the store has the machine: its files are not kept from them
    roots = DataRoots((path.resolve().parent, Path("/")))
    config = ServiceConfig(roots, drives_here=settings.drives_here, clock=time.time)
    core = Core(open_service(settings, create=True), config)
    checked = checked_spec(core, text)
    for note in checked.notes:
        words.print(f"note: {note}", markup=False)
    by = caller()
    sweep = take_in(core, checked, by=by, key=f"{by}\n{key}" if key else None, rank=rank)
    if as_json:
        print_json({"sweep_id": sweep.sweep_id, "state": str(sweep.state)})
    else:
        data.print(sweep.sweep_id, markup=False)


def print_events(sweep_id: str | None, home: Path | None, *, after: int, follow: bool, as_json: bool) -> None:
    """Prints who did what, and when.

    Raises:
        UserError: There is no such sweep, or a home is to be followed.
    """
    client = service_client(home)
    if client is not None:
        remote_events(client, sweep_id, after=after, follow=follow, as_json=as_json)
        return
    if follow:
        raise UserError("only a service can be followed", "masksweep --server URL events --follow")
    core = Core(open_service(Settings.load(home)), ServiceConfig())
    full = None if sweep_id is None else core.service.sweep(sweep_id).sweep_id
    until = core.gaps.complete()
    last: int | None = after
    while last is not None:
        page = core.listing.events(limit=1000, after=last, until=until, sweep_id=full)
        for event in page.items:
            print_event(event_out(event).model_dump(mode="json"), as_json=as_json)
        last = page.after[0] if page.after else None
