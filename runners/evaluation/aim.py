"""What inference settings are chosen by: the part of COCO's mask AP that an objective is about."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from runners.evaluation.coco import COCO_AREAS, IOU_THRESHOLDS
from sweeps.core.size_bins import SizeBins

_SIZES = {"APs": "small", "APm": "medium", "APl": "large"}
_IOUS = {"AP50": 0.5, "AP75": 0.75}


@dataclass(frozen=True, slots=True)
class Aim:
    """A part of mask AP.

    Attributes:
        area: (low, high) in px², both included.
        ious: Places in IOU_THRESHOLDS.
        classes: Contiguous classes, or None for all.
    """

    area: tuple[float, float] = COCO_AREAS["all"]
    ious: tuple[int, ...] = tuple(range(len(IOU_THRESHOLDS)))
    classes: tuple[int, ...] | None = None


def aim_of(objective: str, names: Sequence[str], size_bins: SizeBins) -> tuple[str, Aim]:
    """The metric that settings are chosen by, and what it is of.

    Args:
        objective: A metric. One that is no AP of masks gives `segm/AP`: what thresholds do to latency or to
            boxes says nothing of masks.
        names: Categories by contiguous class.
        size_bins: Name -> (low, high) in px.
    """
    kind, _, name = objective.partition("/")
    if kind == "segm":
        if name in _SIZES:
            return objective, Aim(area=COCO_AREAS[_SIZES[name]])
        if name in _IOUS:
            return objective, Aim(ious=(int(np.argmin(np.abs(IOU_THRESHOLDS - _IOUS[name]))),))
        if name.startswith("AP-") and name.removeprefix("AP-") in names:
            return objective, Aim(classes=(list(names).index(name.removeprefix("AP-")),))
        if name.startswith("AP_") and name.removeprefix("AP_") in size_bins:
            low, high = size_bins[name.removeprefix("AP_")]
            return objective, Aim(area=(low**2, high**2))
    return "segm/AP", Aim()
