"""Champions, and what was decided of each night: drivers make them, and people may retire one."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from sweeps.api import models_champions as models
from sweeps.api.bodies import read_model
from sweeps.api.context import Body, CoreHere, Made, OnceHere, Operator, Viewer
from sweeps.api.cursors import read_cursor, write_cursor
from sweeps.api.describe import RETIRE_BODY
from sweeps.champions import champion_document, reigning_document, told_champions, verdict_documents
from sweeps.store.champions import Champions
from sweeps.store.firings import Firings
from sweeps.store.retiring import retire_champion

router = APIRouter(prefix="/api/v1", tags=["champions"])

ScheduleName = Annotated[
    str,
    Path(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        description="The schedule's name.",
        examples=["nightly"],
    ),
]


@router.get("/champions", summary="List champions")
def champions(core: CoreHere, _: Viewer) -> models.ChampionsOut:
    """Each schedule's champion, by name; schedules that have none yet are left out."""
    found = [champion_document(each) for each in Champions(core.service.engine).reigning()]
    return models.ChampionsOut.model_validate({"champions": found})


@router.get("/schedules/{name}/champion", summary="Show a schedule's champion")
def champion(
    core: CoreHere,
    _: Viewer,
    name: ScheduleName,
    version: Annotated[
        int | None, Query(ge=1, le=2**31 - 1, description="An earlier champion; by default the reigning one.")
    ] = None,
) -> models.ReigningOut:
    """The best model so far, with its parameters and how to read it; null before the first.

    Null as well after one was retired; that one is in `retired` then.
    """
    document = reigning_document(*told_champions(Champions(core.service.engine), name, version))
    return models.ReigningOut.model_validate(document)


@router.post(
    "/schedules/{name}/champion/retire",
    response_model=models.ChampionOut,
    openapi_extra=RETIRE_BODY,
    summary="Retire a schedule's champion",
)
def retire(core: CoreHere, token: Operator, name: ScheduleName, once: OnceHere, body: Body) -> Response:
    """For one that nothing can restore: the next night's best becomes champion. Retired already, it stays so.

    Its files, its history and the verdicts stay, and versions go on.
    """

    def act() -> Made:
        asked = read_model(models.RetireIn, body)
        retired = retire_champion(
            core.service.engine,
            name,
            version=asked.version,
            reason=asked.reason,
            by=token.name,
            now=core.now,
            key=once.scoped_key,
        )
        return Made(models.ChampionOut.model_validate(champion_document(retired)))

    return once(act)


@router.get("/schedules/{name}/verdicts", summary="Say what was decided of each night")
def verdicts(
    core: CoreHere,
    _: Viewer,
    name: ScheduleName,
    limit: Annotated[int, Query(ge=1, le=500, description="Items of a page.")] = 100,
    cursor: Annotated[str | None, Query(max_length=2000, description="`next` of the page before.")] = None,
) -> models.VerdictsOut:
    """Whether a night's best became champion, and why, the latest night first."""
    before = read_cursor("verdicts", cursor, (float,))
    kept = Champions(core.service.engine)
    found = kept.verdicts(name, before=float(before[0]) if before else None, limit=limit + 1)
    shown, more = found[:limit], len(found) > limit
    document = {
        "verdicts": verdict_documents(Firings(core.service.engine), name, shown),
        "next": write_cursor("verdicts", (shown[-1].fire_at,)) if more else None,
    }
    return models.VerdictsOut.model_validate(document)
