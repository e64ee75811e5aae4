"""What happened: the audit, page by page, and a stream of what happens now."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from sweeps.api import documents, models
from sweeps.api.context import Core, CoreHere, SweepId, Viewer
from sweeps.core.scopes import Scope
from sweeps.records import Token

router = APIRouter(prefix="/api/v1", tags=["events"])

MOST = 2**31 - 1
After = Annotated[int, Query(ge=0, le=MOST, description="Behind the event with this id.")]
Limit = Annotated[int, Query(ge=1, le=1000, description="Items of a page.")]
By = Annotated[
    str | None,
    Query(max_length=200, pattern=r"^[^\x00]*$", description="What that one did.", examples=["ann"]),
]
LastEventId = Annotated[
    int | None,
    Header(alias="Last-Event-ID", ge=0, le=MOST, description="The id of the last event that was seen."),
]
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Server-sent events: `id`, `event` (its kind) and `data` (as in the list).",
        "content": {
            "text/event-stream": {
                "schema": {"type": "string"},
                "example": 'id: 41\nevent: sweep.claimed\ndata: {"event_id":41}\n\n',
            }
        },
    }
}


@router.get("/events", summary="List what happened to all sweeps")
def list_events(
    core: CoreHere, token: Viewer, after: After = 0, by: By = None, limit: Limit = 100
) -> models.EventsPage:
    """Some events in order: who did what, and when; for admins also who made and revoked tokens."""
    return _page(core, None, after, by, limit, of_service=token.scope.allows(Scope.ADMIN))


@router.get("/sweeps/{sweep_id}/events", summary="List what happened to a sweep")
def list_sweep_events(
    core: CoreHere, _: Viewer, sweep_id: SweepId, after: After = 0, by: By = None, limit: Limit = 100
) -> models.EventsPage:
    """Some events of one sweep and its trials, in order."""
    return _page(core, core.service.sweep(sweep_id).sweep_id, after, by, limit, of_service=False)


@router.get(
    "/events/stream", summary="Follow all sweeps", response_class=StreamingResponse, responses=_STREAM
)
async def stream_events(
    core: CoreHere, token: Viewer, last_event_id: LastEventId = None
) -> StreamingResponse:
    """What happens from now on, or since `Last-Event-ID`; it ends when the token does."""
    return _stream(core, token, None, last_event_id)


@router.get(
    "/sweeps/{sweep_id}/events/stream",
    summary="Follow a sweep",
    response_class=StreamingResponse,
    responses=_STREAM,
)
async def stream_sweep_events(
    core: CoreHere, token: Viewer, sweep_id: SweepId, last_event_id: LastEventId = None
) -> StreamingResponse:
    """What happens to one sweep from now on, or since `Last-Event-ID`; it ends when the token does."""
    sweep = await run_in_threadpool(core.service.sweep, sweep_id)
    return _stream(core, token, sweep.sweep_id, last_event_id)


def _page(
    core: Core, sweep_id: str | None, after: int, by: str | None, limit: int, *, of_service: bool
) -> models.EventsPage:
    until = core.gaps.complete()  # who goes on behind this page has missed nothing
    page = core.listing.events(
        limit=limit, after=after, until=until, sweep_id=sweep_id, by=by, of_service=of_service
    )
    events = [documents.event_out(event) for event in page.items]
    return models.EventsPage(events=events, next=page.after[0] if page.after else None)


def _stream(core: Core, token: Token, sweep_id: str | None, after: int | None) -> StreamingResponse:
    headers = {"X-Accel-Buffering": "no"}  # proxies hand it on as it comes
    stream = core.feed.stream(token, sweep_id, after)
    return StreamingResponse(stream, media_type="text/event-stream", headers=headers)
