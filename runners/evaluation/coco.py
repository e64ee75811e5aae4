"""COCO average precision and recall of masks and boxes, through hotcoco."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from hotcoco import COCO, COCOeval
from numpy.typing import NDArray

from runners.evaluation.results import BoxTable, IouType, Results
from runners.evaluation.truth import GroundTruth, ground_truth, load_ground_truth
from runners.stall import move
from sweeps.core.size_bins import SizeBins

__all__ = ["GroundTruth", "ground_truth", "load_ground_truth"]

MAX_DETECTIONS = 100  # an image; COCO's convention
COCO_AREAS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"all": (0.0, 1e10), "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
)
"""Ranges in px², both ends included (pycocotools' Params.areaRng)."""
IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
"""At which precision is interpolated (pycocotools' Params.recThrs)."""
_OF_SIZE = {"s": "small", "m": "medium", "l": "large"}
_RECALL_LIMITS = (1, 10, 100)


@dataclass(frozen=True, slots=True)
class Accumulated:
    """What COCO's accumulation gives; -1 where there is no ground truth.

    Attributes:
        precision: (T, R, K, A, M): IoU thresholds, recalls, categories, areas, limits of detections.
        recall: (T, K, A, M).
        scores: As precision: the score at which each recall is reached.
        areas: Names of the areas.
        limits: Detections an image that count, ascending; the last is the one of AP.
    """

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    scores: NDArray[np.float64]
    areas: Sequence[str]
    limits: Sequence[int]

    def average_precision(self, area: str = "all", iou: float | None = None) -> float | None:
        """AP in percent, over all IoU thresholds or at one, or None."""
        values = self.precision[..., self.areas.index(area), -1]
        return mean_percent(values if iou is None else values[np.isclose(IOU_THRESHOLDS, iou)])

    def average_recall(self, area: str = "all", limit: int | None = None) -> float | None:
        """AR in percent over all IoU thresholds, at the last limit or at another one, or None."""
        at = -1 if limit is None else self.limits.index(limit)
        return mean_percent(self.recall[..., self.areas.index(area), at])

    def by_category(self, names: Iterable[str]) -> Iterator[tuple[str, float | None]]:
        """AP in percent of each category, or None."""
        for k, name in enumerate(names):
            yield name, mean_percent(self.precision[:, :, k, self.areas.index("all"), -1])


def mean_percent(values: NDArray[np.float64]) -> float | None:
    """The mean of what was measured, in percent: pycocotools' -1 is no measurement."""
    measured = values[values > -1]
    return float(np.mean(measured) * 100) if measured.size else None


def limits_of(max_detections: int) -> list[int]:
    """1, 10 and 100, as far as they are below the limit, and the limit."""
    return sorted({*(limit for limit in _RECALL_LIMITS if limit < max_detections), max(max_detections, 1)})


def bin_areas(size_bins: SizeBins) -> dict[str, tuple[float, float]]:
    """Bins in px as area ranges in px², named `bin:tiny`."""
    return {f"bin:{name}": (low**2, high**2) for name, (low, high) in size_bins.items()}


def accumulate(
    truth: GroundTruth,
    annotations: COCO,
    results: COCO,
    kind: IouType,
    *,
    areas: Mapping[str, tuple[float, float]] = COCO_AREAS,
    max_detections: int = MAX_DETECTIONS,
) -> Accumulated:
    """COCO's matching and accumulation of checked results.

    Equal bit by bit to pycocotools' COCOeval: https://cocodataset.org/#detection-eval.

    Args:
        truth: Whose categories are measured.
        annotations: The truth, or a slice of it.
        results: What `load_results` gives.
        kind: `segm` or `bbox`.
        areas: Name -> range of area in px², both ends included.
        max_detections: An image's and category's best detections that count, at least 1.
    """
    move()
    evaluation = COCOeval(annotations, results, kind)
    evaluation.params.cat_ids = list(truth.category_ids)
    evaluation.params.max_dets = limits_of(max_detections)
    evaluation.params.area_rng = [list(bounds) for bounds in areas.values()]
    evaluation.params.area_rng_lbl = list(areas)
    evaluation.evaluate()
    evaluation.accumulate()
    arrays: Any = evaluation.eval
    return Accumulated(
        np.asarray(arrays["precision"]),
        np.asarray(arrays["recall"]),
        np.asarray(arrays["scores"]),
        list(areas),
        limits_of(max_detections),
    )


def load_results(truth: GroundTruth, results: Results | BoxTable) -> COCO:
    """Results indexed for hotcoco."""
    return truth.coco.load_res(results)


def summary(accumulated: Accumulated, names: Iterable[str]) -> dict[str, float]:
    """COCO's summary and AP by category (`AP-gear`), in percent. What was not measured is absent."""
    found: dict[str, float | None] = {
        "AP": accumulated.average_precision(),
        "AP50": accumulated.average_precision(iou=0.5),
        "AP75": accumulated.average_precision(iou=0.75),
    }
    found |= {f"AP{letter}": accumulated.average_precision(size) for letter, size in _OF_SIZE.items()}
    found |= {
        f"AR{limit}": accumulated.average_recall(limit=limit)
        for limit in _RECALL_LIMITS
        if limit in accumulated.limits
    }
    found |= {f"AR{letter}": accumulated.average_recall(size) for letter, size in _OF_SIZE.items()}
    found |= {f"AP-{name}": value for name, value in accumulated.by_category(names)}
    return {name: value for name, value in found.items() if value is not None}
