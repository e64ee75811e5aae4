"""Sweeps: submitted, listed, looked at, and asked to pause, go on, take more or end."""

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from search_spaces.issues import SpecIssue
from sweeps.api import documents, models
from sweeps.api.bodies import Sent, of_body, read_document, read_model, read_object
from sweeps.api.context import (
    Body,
    Core,
    CoreHere,
    IfMatch,
    IfNoneMatch,
    Made,
    Once,
    OnceHere,
    Operator,
    SweepId,
    Viewer,
    seen_already,
    unchanged,
)
from sweeps.api.cursors import read_cursor, write_cursor
from sweeps.api.describe import EXTENSION_BODY, REASON_BODY, SPEC_BODY
from sweeps.api.planning import plan_of
from sweeps.api.problems import BodyInvalid
from sweeps.api.room import TAKES_ROOM
from sweeps.api.submitting import checked_spec, take_in
from sweeps.core.extension import Extension, read_extension
from sweeps.core.requests import RequestKind
from sweeps.core.states import SweepState
from sweeps.store.control import Reply
from sweeps.store.overview import overview
from sweeps.store.submissions import Rank

router = APIRouter(prefix="/api/v1", tags=["sweeps"])

_GOES_ON = (SweepState.PENDING, SweepState.RUNNING, SweepState.PAUSED)

Limit = Annotated[int, Query(ge=1, le=500, description="Items of a page.")]
Cursor = Annotated[str | None, Query(max_length=2000, description="`next` of the page before.")]
Priority = Annotated[int, Query(ge=-1000, le=1000, description="Higher ones first.")]
Weight = Annotated[
    float, Query(gt=0, le=1000, allow_inf_nan=False, description="Share among those of its priority.")
]


@router.post(
    "/sweeps",
    status_code=201,
    response_model=models.SubmittedOut,
    openapi_extra=SPEC_BODY,
    summary="Submit a sweep",
    dependencies=[TAKES_ROOM],
)
def submit(
    core: CoreHere,
    token: Operator,
    once: OnceHere,
    body: Body,
    priority: Priority = 0,
    weight: Weight = 1.0,
) -> Response:
    """Checks a spec, a YAML or JSON document, creates its sweep, and lets it wait for a driver.

    Relative paths start at the first of the operator's data directories.
    """

    def act() -> Made:
        checked = checked_spec(core, read_document(body))
        sweep = take_in(core, checked, by=token.name, key=once.scoped_key, rank=Rank(priority, weight))
        made = overview(core.service.engine, sweep.sweep_id)
        document = models.SubmittedOut(sweep=documents.sweep_out(made), notes=list(checked.notes))
        where = f"/api/v1/sweeps/{sweep.sweep_id}"
        return Made(document, 201, {"Location": where, "ETag": documents.etag(made.sweep)})

    return once(act)


@router.post(
    "/plan",
    response_model=models.PlanOut,
    openapi_extra=SPEC_BODY,
    summary="Say what a sweep would cost",
    dependencies=[TAKES_ROOM],
)
def plan(
    core: CoreHere,
    _: Viewer,
    once: OnceHere,
    body: Body,
    workers: Annotated[int | None, Query(ge=1, le=10_000, description="Trials at once.")] = None,
) -> Response:
    """Checks a spec and says how many trials would pass each rung; creates nothing and trains nothing.

    Times are from earlier sweeps of the same data, base and fidelity, where there are some.
    """
    return once.anew(lambda: Made(plan_of(core, checked_spec(core, read_document(body)), workers)))


@router.get("/sweeps", summary="List sweeps, newest first")
def list_sweeps(
    core: CoreHere,
    _: Viewer,
    state: Annotated[list[SweepState], Query(description="In one of these states.")] = [],  # noqa: B006
    name: Annotated[
        str | None, Query(max_length=100, pattern=r"^[^\x00]*$", description="Has this in its name.")
    ] = None,
    by: Annotated[
        str | None, Query(max_length=200, pattern=r"^[^\x00]*$", description="Created by that one.")
    ] = None,
    best: Annotated[bool, Query(description="With who leads each; slow for large sweeps.")] = False,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> models.SweepsPage:
    """Some sweeps, and where the next page begins."""
    after = read_cursor("sweeps", cursor, (float, str))
    page = core.listing.sweeps(limit=limit, after=after, states=state, name=name, by=by)
    states = core.listing.trial_states([sweep.sweep_id for sweep in page.items])
    notes = core.service.notes()
    rows = [
        documents.sweep_row(
            sweep,
            states[sweep.sweep_id],
            documents.best(core.service, sweep) if best else None,
            notes.get(sweep.sweep_id),
        )
        for sweep in page.items
    ]
    return models.SweepsPage(sweeps=rows, next=write_cursor("sweeps", page.after))


@router.get(
    "/sweeps/{sweep_id}",
    response_model=models.SweepOut,
    responses={304: {"description": "All of it is as the `ETag` says."}},
    summary="Look at a sweep",
)
def get_sweep(core: CoreHere, _: Viewer, sweep_id: SweepId, if_none_match: IfNoneMatch = None) -> Response:
    """A sweep, its spec, its budget and what was asked of it; its trials are lists of their own."""
    seen = overview(core.service.engine, sweep_id)
    found = documents.sweep_out(seen).model_dump_json()
    headers = {"ETag": documents.document_etag(seen.sweep, found)}
    if seen_already(if_none_match, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return Response(found, media_type="application/json", headers=headers)


@router.post(
    "/sweeps/{sweep_id}/pause",
    response_model=models.ReplyOut,
    openapi_extra=REASON_BODY,
    summary="Pause a sweep",
)
def pause(
    core: CoreHere, _: Operator, sweep_id: SweepId, once: OnceHere, body: Body, if_match: IfMatch = None
) -> Response:
    """Stops it at its next checkpoints, to go on from there later."""
    return once(lambda: _ask(core, RequestKind.PAUSE, sweep_id, once, body, if_match))


@router.post(
    "/sweeps/{sweep_id}/cancel",
    response_model=models.ReplyOut,
    openapi_extra=REASON_BODY,
    summary="End a sweep for good",
)
def cancel(
    core: CoreHere, _: Operator, sweep_id: SweepId, once: OnceHere, body: Body, if_match: IfMatch = None
) -> Response:
    """What runs stops at its next iteration, and nothing more is tried."""
    return once(lambda: _ask(core, RequestKind.CANCEL, sweep_id, once, body, if_match))


@router.post("/sweeps/{sweep_id}/resume", response_model=models.ReplyOut, summary="Go on with a paused sweep")
def resume(
    core: CoreHere, token: Operator, sweep_id: SweepId, once: OnceHere, if_match: IfMatch = None
) -> Response:
    """Lets it wait for a driver, which goes on from its last checkpoints."""

    def act() -> Made:
        key, check = once.scoped_key, unchanged(if_match)
        return _made(core, core.control.resume(sweep_id, by=token.name, now=core.now, key=key, check=check))

    return once(act)


@router.post(
    "/sweeps/{sweep_id}/extend",
    response_model=models.ReplyOut,
    openapi_extra=EXTENSION_BODY,
    summary="Add to a sweep's budget",
)
def extend(
    core: CoreHere,
    token: Operator,
    sweep_id: SweepId,
    once: OnceHere,
    body: Body,
    if_match: IfMatch = None,
    resume: Annotated[bool, Query(description="And go on with it, unless a driver does.")] = False,
) -> Response:
    """Adds to it while it runs, or after a limit of it ended the sweep.

    That is PAUSED then, and if it was submitted the service goes on with it; what somebody paused, and what
    was run by hand, waits for a resumption.
    """

    def act() -> Made:
        with of_body():
            reply = core.control.extend(
                sweep_id,
                _extension(body),
                by=token.name,
                now=core.now,
                key=once.scoped_key,
                check=unchanged(if_match),
            )
        if resume and reply.sweep.state in _GOES_ON:  # asked also where a driver lives: once under the key
            core.control.resume(reply.sweep.sweep_id, by=token.name, now=core.now, key=once.scoped_key)
            reply = replace(reply, goes_on=True)
        return _made(core, reply)

    return once(act)


def _ask(core: Core, kind: RequestKind, sweep_id: str, once: Once, body: Sent, if_match: str | None) -> Made:
    reply = core.control.ask(
        sweep_id,
        kind,
        by=once.by,
        now=core.now,
        reason=read_model(models.Reason, body).reason,
        key=once.scoped_key,
        check=unchanged(if_match),
    )
    return _made(core, reply)


def _made(core: Core, reply: Reply) -> Made:
    now = overview(core.service.engine, reply.sweep.sweep_id)
    document = models.ReplyOut(
        answer=reply.answer,
        sweep=documents.sweep_out(now),
        request=None if reply.request is None else documents.request_out(reply.request),
        goes_on=reply.goes_on,
    )
    return Made(document, headers={"ETag": documents.etag(now.sweep)})


def _extension(body: Sent) -> Extension:
    data = read_object(body)
    if not data:
        fields = ", ".join(field.alias or name for name, field in Extension.model_fields.items())
        raise BodyInvalid([SpecIssue("", "says nothing to add", f"one or more of {fields}")])
    return read_extension(data)
