"""`masksweep compare`: sweeps and trials side by side, from a home or from a service."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sweeps.cli.comparison import Entry, comparison, comparison_table
from sweeps.cli.output import data, print_json
from sweeps.cli.remote import sweep_record, trial_record
from sweeps.core.errors import UserError
from sweeps.service import SweepService
from sweeps.settings import Settings
from sweeps.store.sweep_nights import sweep_nights
from sweeps.tracking.mirror import Mirror
from sweeps.tracking.nights import night_documents

if TYPE_CHECKING:
    from sweeps.client import Client

_HINT = "name each as SWEEP for its best trial, or as SWEEP/TRIAL"


def compare_here(service: SweepService, settings: Settings, names: Sequence[str], *, as_json: bool) -> None:
    """Compares what a home has.

    Raises:
        UserError: Some of the names name nothing: all of them are told.
    """
    mirror = Mirror(service, settings.tracking_uri, artifact_root=settings.artifact_root)

    def find(sweep_id: str, number: int | None) -> Entry:
        sweep = service.sweep(sweep_id)
        nights = night_documents(mirror, sweep.sweep_id, sweep_nights(service.engine, sweep.sweep_id))
        link = mirror.links(sweep.sweep_id).compare_url
        return Entry(sweep, service.trials(sweep.sweep_id), number, link, nights)

    _print(_entries(names, find), as_json=as_json)


def compare_there(client: "Client", names: Sequence[str], *, as_json: bool) -> None:
    """Compares what a service has.

    Raises:
        UserError: Some of the names name nothing: all of them are told. Or the service does not answer.
    """

    def find(sweep_id: str, number: int | None) -> Entry:
        document = client.get(f"/sweeps/{sweep_id}")
        path = f"/sweeps/{document['sweep_id']}"
        trials = [trial_record(trial) for trial in client.pages(f"{path}/trials", "trials", limit=500)]
        found = client.get(f"{path}/nights")
        return Entry(sweep_record(document), trials, number, found["compare_url"], found["nights"])

    _print(_entries(names, find), as_json=as_json)


def _entries(names: Sequence[str], find: Callable[[str, int | None], Entry]) -> list[Entry]:
    if len(names) < 2:
        raise UserError(f"got {len(names)} to compare, but needs two or more", _HINT)
    entries, problems = [], []
    for name in names:
        try:
            entry = find(*_parsed(name))
            entry.standing()
            entries.append(entry)
        except UserError as error:
            problems.append(error)
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise UserError("\n".join(["some name nothing", *(f"  {problem}" for problem in problems)]), _HINT)
    return entries


def _parsed(name: str) -> tuple[str, int | None]:
    sweep_id, slash, number = name.partition("/")
    if not slash:
        return sweep_id, None
    if not sweep_id or not number.isascii() or not number.isdigit():
        raise UserError(f"got {name!r}, which names no trial", _HINT)
    return sweep_id, int(number)


def _print(entries: Sequence[Entry], *, as_json: bool) -> None:
    document = comparison(entries)
    if as_json:
        print_json(document)
        return
    data.print(comparison_table(document, data.width))
    for entry in entries:
        if entry.compare_url and not entry.nights:
            data.print(f"compare {entry.name}: {entry.compare_url}", markup=False, soft_wrap=True)
        for night in entry.nights:
            data.print(_night(night, entry.name), markup=False, soft_wrap=True)


def _night(night: Mapping[str, Any], name: str) -> str:
    decided = "" if night["decision"] is None else f", {night['decision']}: {night['verdict']}"
    link = f": {night['compare_url']}" if night["compare_url"] else ""
    return f"compare {name}, night {night['local']} of {night['schedule']}{decided}{link}"
