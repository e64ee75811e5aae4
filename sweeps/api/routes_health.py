"""Whether the service works, and its numbers for Prometheus."""

from importlib.metadata import version

from fastapi import APIRouter
from starlette.responses import Response

from sweeps.api.context import CoreHere, Viewer
from sweeps.api.models import HealthOut
from sweeps.api.telemetry import Telemetry, TelemetryHere
from sweeps.core.errors import StoreUnavailable

router = APIRouter(tags=["health"])


@router.get("/healthz", summary="Whether the process lives")
async def healthz() -> HealthOut:
    """Looks at nothing but itself, and waits for no thread."""
    return HealthOut(status="ok", version=version("masksweep"))


@router.get(
    "/readyz",
    summary="Whether requests can be answered",
    responses={503: {"model": HealthOut, "description": "The store does not answer."}},
)
def readyz(core: CoreHere, response: Response) -> HealthOut:
    """Asks the store."""
    try:
        core.listing.last_event()
    except StoreUnavailable:
        response.status_code = 503
        return HealthOut(
            status="unavailable", version=version("masksweep"), detail="the store does not answer"
        )
    return HealthOut(status="ok", version=version("masksweep"))


@router.get(
    "/metrics",
    summary="Numbers for Prometheus",
    response_class=Response,
    responses={
        200: {
            "description": "In Prometheus' text format.",
            "content": {"text/plain": {"example": 'masksweep_sweeps{state="RUNNING"} 2.0\n'}},
        }
    },
)
def prometheus(core: CoreHere, _: Viewer, telemetry: TelemetryHere) -> Response:
    """Sweeps and trials by state, GPU-seconds, best values, MLflow's lag, and how long answers take."""
    return Response(telemetry.exposition(core.now), media_type=Telemetry.media_type)
