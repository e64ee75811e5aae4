"""Which instances are crowded by their neighbours, and which are occluded by them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from hotcoco import mask as rle
from numpy.typing import NDArray

if TYPE_CHECKING:
    from runners.evaluation.truth import Instance

CROWDED_BOX_IOU = 0.5
"""An instance is crowded if its box has more than this IoU with a neighbour's.

CrowdDet, https://arxiv.org/abs/2003.09163, and OCHuman, https://arxiv.org/abs/1803.10683, draw the line
there: it is also where non-maximum suppression begins to take one of the two for a duplicate.
"""

OCCLUDED_SHARE = 0.1
"""An instance is occluded if its neighbours' masks cover more than this share of its box.

Where CityPersons' partial occlusion begins (10% to 35%, as in Repulsion Loss, https://arxiv.org/abs/1711.07752).
Visible masks alone are annotated, so what hides an object shows inside its box; the idea of finding occluded
objects from masks that enter each other's boxes is that of Occluded COCO, https://arxiv.org/abs/2210.10046.
"""

# An area tells which slices an instance belongs to: between the bounds of its slices, beyond those of the
# others. Every detection's real area lies within all of them, so that a false one counts in each slice.
_MOST_PIXELS = 1e10  # COCO's own bound of all areas
_CROWDED_ONLY, _BOTH, _OCCLUDED_ONLY, _NEITHER = -1.0, 1.0, 1e11, 1e12
SLICES: Mapping[str, tuple[float, float]] = {
    "AP": (_CROWDED_ONLY, _OCCLUDED_ONLY),
    "AP_crowded": (_CROWDED_ONLY, _MOST_PIXELS),
    "AP_occluded": (0.0, _OCCLUDED_ONLY),
}
"""Area ranges that make COCO's evaluation count one slice and ignore the other instances."""


@dataclass(frozen=True, slots=True)
class Overlaps:
    """Per annotation, in the order of the file; crowd regions are neither.

    Attributes:
        crowded: (N,).
        occluded: (N,).
    """

    crowded: NDArray[np.bool_]
    occluded: NDArray[np.bool_]

    def coded_areas(self) -> list[float]:
        """(N,) areas to be evaluated with the ranges in `SLICES`."""
        areas = np.where(
            self.crowded,
            np.where(self.occluded, _BOTH, _CROWDED_ONLY),
            np.where(self.occluded, _OCCLUDED_ONLY, _NEITHER),
        )
        coded: list[float] = areas.tolist()
        return coded


def overlaps_of(instances: Sequence["Instance"], by_image: Mapping[int, Sequence[int]]) -> Overlaps:
    """Crowded and occluded instances; neighbours are of any category, and no crowd regions.

    Args:
        instances: All annotations; those in `by_image` have masks.
        by_image: Image id -> indices into `instances`.
    """
    crowded = np.zeros(len(instances), np.bool_)
    occluded = np.zeros(len(instances), np.bool_)
    for indices in by_image.values():
        if len(indices) < 2:
            continue
        here = [instances[index] for index in indices]
        boxes = np.array([one.box for one in here], np.float64)
        ious = rle.bbox_iou(boxes, boxes, [False] * len(here))
        np.fill_diagonal(ious, 0.0)
        crowded[indices] = ious.max(axis=1) > CROWDED_BOX_IOU
        for place in np.flatnonzero(ious.max(axis=1) > 0).tolist():
            neighbours: list[Any] = [here[other].mask for other in np.flatnonzero(ious[place]).tolist()]
            occluded[indices[place]] = _covered_share(here[place], neighbours) > OCCLUDED_SHARE
    return Overlaps(crowded, occluded)


def _covered_share(instance: "Instance", neighbours: list[Any]) -> float:
    """The share of the instance's box that neighbours' masks cover, where its own does not."""
    mask: Any = instance.mask
    box = rle.fr_bbox(list(instance.box), *mask["size"])
    others = rle.merge(neighbours)
    covered = int(rle.area(rle.merge([others, box], intersect=True)))
    shared = int(rle.area(rle.merge([others, mask], intersect=True)))
    return (covered - shared) / max(int(rle.area(box)), 1)
