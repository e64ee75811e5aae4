"""What `masksweep schedule` does where the schedules are, and how it tells of them."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from rich.console import RenderableType

from sweeps.api import scheduling
from sweeps.api.config import ServiceConfig
from sweeps.api.context import Core
from sweeps.api.paths import DataRoots
from sweeps.bootstrap import open_service
from sweeps.cli.output import data, words
from sweeps.cli.schedule_tables import local_minute, nights_table, schedules_table
from sweeps.cli.where import service_client
from sweeps.client import Client
from sweeps.core.errors import UnreadableSchedule
from sweeps.invocation import caller
from sweeps.settings import Settings
from sweeps.store.firings import Firings
from sweeps.store.schedules import ScheduleRecord, Schedules

NIGHTS = 30
"""That `show` tells of."""


class Place(Protocol):
    """Where schedules are. What it returns are documents of the API."""

    def add(self, document: Mapping[str, Any], directory: Path) -> dict[str, Any]:
        """A new schedule with its notes; `directory`: where relative paths of its spec start, here."""

    def all(self) -> dict[str, list[dict[str, Any]]]:
        """All `schedules` by name, and which are `unreadable`, with the reason."""

    def get(self, name: str) -> dict[str, Any]:
        """One schedule."""

    def nights(self, name: str) -> list[dict[str, Any]]:
        """Its last nights, the latest first."""

    def change(self, name: str, verb: str, reason: str | None) -> dict[str, Any]:
        """The schedule, after it was told to `pause`, `resume` or `remove`."""

    def backfill(self, name: str, start: str, end: str, *, dry_run: bool) -> dict[str, Any]:
        """What a backfill made, or would make."""


def where(home: Path | None, *, create: bool = False) -> Place:
    """The service or the home that is meant.

    Args:
        home: That the command line names, or None.
        create: Make the home's store if there is none.
    """
    client = service_client(home)
    return _There(client) if client is not None else _Here(Settings.load(home), create=create)


class _Here:
    """A home of this machine: who has the store has the machine, whose files are not kept from them."""

    def __init__(self, settings: Settings, *, create: bool) -> None:
        self._service = open_service(settings, create=create)
        self._schedules = Schedules(self._service.engine)
        self._drives_here = settings.drives_here

    def add(self, document: Mapping[str, Any], directory: Path) -> dict[str, Any]:
        core = self._core(DataRoots((directory, Path("/"))))
        schedule, notes = scheduling.add_schedule(core, document, by=caller())
        out = scheduling.schedule_out(core, schedule)
        return {"schedule": out.model_dump(mode="json"), "notes": list(notes)}

    def all(self) -> dict[str, list[dict[str, Any]]]:
        core, found = self._core(), self._schedules.listed()
        unreadable = [scheduling.unreadable_out(each).model_dump() for each in found.unreadable]
        shown = [scheduling.schedule_out(core, each).model_dump(mode="json") for each in found.schedules]
        return {"schedules": shown, "unreadable": unreadable}

    def get(self, name: str) -> dict[str, Any]:
        found = self._schedules.get(name)
        return scheduling.schedule_out(self._core(), found).model_dump(mode="json")

    def nights(self, name: str) -> list[dict[str, Any]]:
        timezone = self._schedules.timezone(name)
        firings = Firings(self._service.engine)
        found = scheduling.nights_out(firings, timezone, firings.of(name, limit=NIGHTS))
        return [night.model_dump(mode="json") for night in found]

    def change(self, name: str, verb: str, reason: str | None) -> dict[str, Any]:
        by, now = caller(), time.time()
        found: ScheduleRecord | UnreadableSchedule
        match verb:
            case "pause":
                found = self._schedules.pause(name, by=by, now=now, reason=reason)
            case "resume":
                found = self._schedules.resume(name, by=by, now=now)
            case _:
                found = self._schedules.remove(name, by=by, now=now)
        return scheduling.changed_out(self._core(), found).model_dump(mode="json")

    def backfill(self, name: str, start: str, end: str, *, dry_run: bool) -> dict[str, Any]:
        made = scheduling.backfill(self._core(), name, start, end, dry_run=dry_run, by=caller())
        return made.model_dump(mode="json")

    def _core(self, roots: DataRoots | None = None) -> Core:
        roots = roots or DataRoots((Path("/"),))
        return Core(self._service, ServiceConfig(roots, drives_here=self._drives_here, clock=time.time))


class _There:
    """A service."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def add(self, document: Mapping[str, Any], directory: Path) -> dict[str, Any]:
        return self._client.post("/schedules", document)

    def all(self) -> dict[str, list[dict[str, Any]]]:
        pages = list(self._client.documents("/schedules", limit=100))
        return {what: [each for page in pages for each in page[what]] for what in ("schedules", "unreadable")}

    def get(self, name: str) -> dict[str, Any]:
        return self._client.get(f"/schedules/{quote(name, safe='')}")

    def nights(self, name: str) -> list[dict[str, Any]]:
        answer = self._client.get(f"/schedules/{quote(name, safe='')}/nights", limit=NIGHTS)
        return list(answer["nights"])

    def change(self, name: str, verb: str, reason: str | None) -> dict[str, Any]:
        body = {"reason": reason} if reason else {}
        return self._client.post(f"/schedules/{quote(name, safe='')}/{verb}", body)

    def backfill(self, name: str, start: str, end: str, *, dry_run: bool) -> dict[str, Any]:
        body = {"from": start, "to": end, "dry_run": dry_run}
        return self._client.post(f"/schedules/{quote(name, safe='')}/backfill", body)


def print_schedules(found: Sequence[Mapping[str, Any]]) -> None:
    """A table: a row a schedule."""
    _print_whole(schedules_table(found, data.width if data.is_terminal else None))


def print_schedule(found: Mapping[str, Any]) -> None:
    """Its rule, and when it fires next; of one that could not be read and was removed, why."""
    if "rule" not in found:
        data.print(f"schedule {found['name']} is REMOVED", markup=False)
        words.print(f"note: it could not be read: {found['reason']}", markup=False)
        return
    rule = ", ".join(f"{name} {value}" for name, value in found["rule"].items())
    why = f": {found['reason']}" if found["reason"] else ""
    data.print(f"schedule {found['name']} is {found['state']}{why}", markup=False)
    data.print(f"rule: {rule}", markup=False)
    for at in found["upcoming"]:
        data.print(f"next: {local_minute(found, at)} {found['rule']['timezone']}", markup=False)
    if found["state"] == "ACTIVE" and not found["upcoming"]:
        words.print("note: it has no fire time any more", markup=False)


def print_nights(nights: Sequence[Mapping[str, Any]]) -> None:
    """A table: a row a night, the latest first."""
    if nights:
        _print_whole(nights_table(nights, data.width if data.is_terminal else None))


def _print_whole(table: RenderableType) -> None:
    data.print(table, crop=False)  # lines of a pipe are as long as they are
