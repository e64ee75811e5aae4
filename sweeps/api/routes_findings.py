"""What a sweep has shown: which knobs mattered, and its picture in MLflow."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from sweeps.api import models_findings as models
from sweeps.api.context import Core, CoreHere, Made, OnceHere, Operator, SweepId, Viewer
from sweeps.api.room import TAKES_ROOM, busy
from sweeps.core.errors import WrongState
from sweeps.store.sweep_nights import sweep_nights

router = APIRouter(prefix="/api/v1/sweeps/{sweep_id}", tags=["findings"])


@router.get("/importance", summary="Say which knobs mattered", dependencies=[TAKES_ROOM])
def importance(
    core: CoreHere,
    _: Viewer,
    sweep_id: SweepId,
    iterations: Annotated[
        int | None,
        Query(ge=1, le=2**31 - 1, description="The rung at which to compare; else the last many reached."),
    ] = None,
) -> models.ImportanceOut:
    """What sets the best trials apart, for each objective; too few trials are told as its `problem`."""
    from sweeps.importance import importance_document, importances_of  # noqa: PLC0415 - imports Optuna

    sweep, found = importances_of(core.service, sweep_id, iterations)
    document = {"sweep_id": sweep.sweep_id, "objectives": importance_document(found)}
    return models.ImportanceOut.model_validate(document)


@router.get("/nights", summary="Say which nights a sweep was of")
def nights(core: CoreHere, _: Viewer, sweep_id: SweepId) -> models.NightsOut:
    """The nights of schedules, each with the link to MLflow's comparison of its finalists; asks no MLflow."""
    from sweeps.tracking.mirror import Mirror  # noqa: PLC0415 - imports matplotlib
    from sweeps.tracking.nights import night_documents  # noqa: PLC0415 - the same

    sweep = core.service.sweep(sweep_id)
    found = sweep_nights(core.service.engine, sweep.sweep_id)
    document: dict[str, Any] = {"sweep_id": sweep.sweep_id}
    if core.config.tracking_uri is None:
        without = [{**asdict(night), "compare_url": None} for night in found]
        return models.NightsOut.model_validate({**document, "compare_url": None, "nights": without})
    mirror = Mirror(core.service, core.config.tracking_uri, artifact_root=core.config.artifact_root)
    document["compare_url"] = mirror.links(sweep.sweep_id).compare_url
    document["nights"] = night_documents(mirror, sweep.sweep_id, found)
    return models.NightsOut.model_validate(document)


@router.post(
    "/mirror",
    response_model=models.MirroredOut,
    summary="Bring MLflow up to the store",
    dependencies=[TAKES_ROOM],
)
def mirror(core: CoreHere, _: Operator, sweep_id: SweepId, once: OnceHere) -> Response:
    """Ships what MLflow does not have yet, from nothing if need be; sweeps are mirrored one at a time."""
    return once(lambda: Made(_mirrored(core, sweep_id)))


def _mirrored(core: Core, sweep_id: str) -> models.MirroredOut:
    from sweeps.tracking.mirror import Mirror  # noqa: PLC0415 - imports matplotlib

    sweep = core.service.sweep(sweep_id)
    if core.config.tracking_uri is None:
        raise WrongState(
            "this service mirrors to no MLflow", "its operator sets MLFLOW_TRACKING_URI and starts it again"
        )
    mirror = Mirror(core.service, core.config.tracking_uri, artifact_root=core.config.artifact_root)
    if not core.mirroring.acquire(timeout=core.config.limits.mirroring_s):
        raise busy("another sweep is being mirrored, or MLflow does not answer")
    try:
        mirror.sync(sweep.sweep_id)
    finally:
        core.mirroring.release()
    return models.MirroredOut.model_validate(asdict(mirror.links(sweep.sweep_id)))
