"""Schedules: added, listed, paused, backfilled and removed; and their nights."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from sweeps.api import schedule_models as models
from sweeps.api.bodies import of_body, read_model, read_object
from sweeps.api.context import Body, Core, CoreHere, Made, OnceHere, Operator, Viewer
from sweeps.api.cursors import read_cursor, write_cursor
from sweeps.api.describe import BACKFILL_BODY, REASON_BODY, SCHEDULE_BODY
from sweeps.api.models import Reason
from sweeps.api.room import TAKES_ROOM
from sweeps.api.scheduling import (
    add_schedule,
    backfill,
    changed_out,
    event_out,
    nights_out,
    schedule_out,
    unreadable_out,
)
from sweeps.core.errors import UnreadableSchedule
from sweeps.store.firings import Firings
from sweeps.store.schedules import ScheduleRecord, Schedules

router = APIRouter(prefix="/api/v1/schedules", tags=["schedules"])

Name = Annotated[
    str,
    Path(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        description="The schedule's name.",
        examples=["nightly"],
    ),
]
Limit = Annotated[int, Query(ge=1, le=500, description="Items of a page.")]
Cursor = Annotated[str | None, Query(max_length=2000, description="`next` of the page before.")]


@router.post(
    "",
    status_code=201,
    response_model=models.AddedOut,
    openapi_extra=SCHEDULE_BODY,
    summary="Add a schedule",
    dependencies=[TAKES_ROOM],
)
def add(core: CoreHere, token: Operator, once: OnceHere, body: Body) -> Response:
    """Checks the rule and the spec, with its data, all problems at once. The same one again changes nothing.

    Relative paths start at the first of the operator's data directories.
    """

    def act() -> Made:
        schedule, notes = add_schedule(core, read_object(body), by=token.name)
        document = models.AddedOut(schedule=schedule_out(core, schedule), notes=list(notes))
        return Made(document, 201, {"Location": f"/api/v1/schedules/{schedule.name}"})

    return once(act)


@router.get("", summary="List schedules")
def list_schedules(
    core: CoreHere, _: Viewer, limit: Limit = 50, cursor: Cursor = None
) -> models.SchedulesPage:
    """By name, each with its next five fire times and its last five nights."""
    after = read_cursor("schedules", cursor, (str,))
    name = "" if after is None else str(after[0])
    found = Schedules(core.service.engine).listed(after=name, limit=limit)
    return models.SchedulesPage(
        schedules=[schedule_out(core, each) for each in found.schedules],
        unreadable=[unreadable_out(each) for each in found.unreadable],
        next=write_cursor("schedules", None if found.after is None else (found.after,)),
    )


@router.get("/{name}", summary="Look at a schedule")
def get_schedule(core: CoreHere, _: Viewer, name: Name) -> models.ScheduleOut:
    """One that was removed is still there."""
    return schedule_out(core, Schedules(core.service.engine).get(name))


@router.get("/{name}/nights", summary="List a schedule's nights, the latest first")
def list_nights(
    core: CoreHere, _: Viewer, name: Name, limit: Limit = 50, cursor: Cursor = None
) -> models.NightsPage:
    """Each with its sweep, and why it is what it is."""
    timezone = Schedules(core.service.engine).timezone(name)
    after = read_cursor("nights", cursor, (int,))
    before = None if after is None else float(after[0])
    firings = Firings(core.service.engine)
    found = firings.of(name, before=before, limit=limit + 1)
    more = (int(found[limit - 1].fire_at),) if len(found) > limit else None
    shown = nights_out(firings, timezone, found[:limit])
    return models.NightsPage(nights=shown, next=write_cursor("nights", more))


@router.get("/{name}/events", summary="Say who did what to a schedule, and when")
def list_events(
    core: CoreHere, _: Viewer, name: Name, limit: Limit = 50, cursor: Cursor = None
) -> models.ScheduleEventsPage:
    """What happened to it and to its nights, in order."""
    schedules = Schedules(core.service.engine)
    schedules.get(name)
    after = read_cursor("schedule-events", cursor, (int,))
    last = 0 if after is None else int(after[0])
    found = schedules.events(name, after=last, limit=limit + 1)
    more = (found[limit - 1].event_id,) if len(found) > limit else None
    shown = [event_out(each) for each in found[:limit]]
    return models.ScheduleEventsPage(events=shown, next=write_cursor("schedule-events", more))


@router.post(
    "/{name}/pause", response_model=models.ScheduleOut, openapi_extra=REASON_BODY, summary="Pause a schedule"
)
def pause(core: CoreHere, token: Operator, name: Name, once: OnceHere, body: Body) -> Response:
    """It fires no more until it is resumed; a night that runs goes on."""

    def act() -> Made:
        reason = read_model(Reason, body).reason
        return _made(
            core, Schedules(core.service.engine).pause(name, by=token.name, now=core.now, reason=reason)
        )

    return once(act)


@router.post("/{name}/resume", response_model=models.ScheduleOut, summary="Let a schedule fire again")
def resume(core: CoreHere, token: Operator, name: Name, once: OnceHere) -> Response:
    """From now on: what fell into the pause is not caught up."""
    return once(lambda: _made(core, Schedules(core.service.engine).resume(name, by=token.name, now=core.now)))


@router.post(
    "/{name}/remove",
    response_model=models.ScheduleOut | models.UnreadableOut,
    summary="Remove a schedule",
)
def remove(core: CoreHere, token: Operator, name: Name, once: OnceHere) -> Response:
    """Its nights and its champion stay, and a night that runs goes on. One that is unreadable goes too."""
    return once(lambda: _made(core, Schedules(core.service.engine).remove(name, by=token.name, now=core.now)))


@router.post(
    "/{name}/backfill",
    response_model=models.BackfilledOut,
    openapi_extra=BACKFILL_BODY,
    summary="Ask for nights that did not take place",
)
def ask_backfill(core: CoreHere, token: Operator, name: Name, once: OnceHere, body: Body) -> Response:
    """They come one after another, each with a whole window; `dry_run` only says which these are."""
    asked = read_model(models.BackfillIn, body)

    def act() -> Made:
        dry_run, key = asked.dry_run, once.scoped_key
        with of_body():
            made = backfill(core, name, asked.start, asked.to, dry_run=dry_run, by=token.name, key=key)
        return Made(made)

    return once.anew(act) if asked.dry_run else once(act)


def _made(core: Core, schedule: ScheduleRecord | UnreadableSchedule) -> Made:
    return Made(changed_out(core, schedule))
