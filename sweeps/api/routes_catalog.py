"""What specs can name: knobs, metrics, data sets."""

from fastapi import APIRouter

from search_spaces.knobs import KNOBS
from sweeps.api import models
from sweeps.api.context import CoreHere, Viewer
from sweeps.core.metrics import METRICS

router = APIRouter(prefix="/api/v1", tags=["catalogue"])


@router.get("/knobs", summary="List the knobs")
def knobs(_: Viewer) -> models.KnobsOut:
    """What a search space can name."""
    return models.KnobsOut(
        knobs=[
            models.KnobOut(
                name=knob.name,
                cfg_key=knob.cfg_key,
                kind=str(knob.kind),
                unit=knob.unit,
                legal=str(knob.legal),
                default=knob.default,
                needs=None if knob.needs is None else str(knob.needs),
                doc=knob.doc,
            )
            for knob in KNOBS
        ]
    )


@router.get("/metrics", summary="List the metrics")
def metrics(_: Viewer) -> models.MetricsOut:
    """What objectives, constraints and sorting can name."""
    return models.MetricsOut(
        metrics=[models.MetricOut.model_validate(metric, from_attributes=True) for metric in METRICS]
    )


@router.get("/datasets", summary="List data sets")
def datasets(core: CoreHere, _: Viewer) -> models.DatasetsOut:
    """Where data may be, and what sweeps have trained on, the newest first."""
    found: dict[str, models.DatasetOut] = {}
    for sweep in core.service.sweeps():
        data = sweep.spec.dataset
        if data is None or not sweep.fingerprint:
            continue
        known = found.setdefault(
            sweep.fingerprint,
            models.DatasetOut(
                fingerprint=sweep.fingerprint,
                train=data.train.annotations,
                val=data.val.annotations,
                sweeps=0,
                newest_sweep_id=sweep.sweep_id,
            ),
        )
        known.sweeps += 1
    return models.DatasetsOut(
        roots=[str(path) for path in core.config.roots.paths], datasets=list(found.values())
    )
