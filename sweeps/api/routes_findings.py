"""What a sweep has shown: which knobs mattered, and its picture in MLflow."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from sweeps.api import models_findings as models
from sweeps.api.context import Core, CoreHere, Made, OnceHere, Operator, SweepId, Viewer
from sweeps.core.errors import WrongState

router = APIRouter(prefix="/api/v1/sweeps/{sweep_id}", tags=["findings"])


@router.get("/importance", summary="Say which knobs mattered")
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


@router.post("/mirror", response_model=models.MirroredOut, summary="Bring MLflow up to the store")
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
    with core.mirroring:
        mirror.sync(sweep.sweep_id)
    return models.MirroredOut.model_validate(asdict(mirror.links(sweep.sweep_id)))
