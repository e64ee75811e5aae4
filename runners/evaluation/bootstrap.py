"""Bootstrap intervals of AP over images, from matches that are computed once.

The bootstrap of Efron, Annals of Statistics 7(1), 1979: a replicate draws as many images as there are, with
replacement, and its AP is COCO's on the detections and instances of the images drawn. Images are the units,
since instances of one image are not independent. Matching happens within an image and stays what it was; only
the order of scores, the running sums and the interpolation are redone, with each image's number of draws as a
weight.

The interval is the bias-corrected percentile one (Efron, Canadian Journal of Statistics 9(2), 1981). The
plain percentile interval is off here: COCO's interpolation takes maxima, so that replicates lie higher than
the estimate, which can fall below all of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runners.evaluation.coco import RECALLS
from runners.stall import move

REPLICATES = 200
CONFIDENCE = 0.95
_SEED = 20260  # one set of draws for all evaluations: intervals of trials differ by the trials alone
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class CategoryMatches:
    """A category's matches in one range of areas, over all images.

    Attributes:
        images: (N,) index of each detection's image, best score first.
        hits: (T, N) whether it found an instance, at each IoU threshold.
        misses: (T, N) whether it counts as false.
        truths: (I,) instances that count, by image.
    """

    images: NDArray[np.int64]
    hits: NDArray[np.bool_]
    misses: NDArray[np.bool_]
    truths: NDArray[np.int64]


def category_matches(cells: Sequence[Any], places: dict[int, int]) -> CategoryMatches | None:
    """Gathers the cells of one category and one range of areas; None if no instance counts.

    Args:
        cells: pycocotools' `evalImgs` entries, one an image, or None; ties of scores keep their order.
        places: Index by image id.
    """
    found = [cell for cell in cells if cell is not None]
    truths = np.zeros(len(places), np.int64)
    for cell in found:
        truths[places[cell["image_id"]]] = len(cell["gtIgnore"]) - int(np.sum(cell["gtIgnore"]))
    if not truths.any():
        return None
    images = np.repeat(
        [places[cell["image_id"]] for cell in found], [len(cell["dtScores"]) for cell in found]
    ).astype(np.int64)
    scores = np.concatenate([np.asarray(cell["dtScores"], np.float64) for cell in found])
    matched = np.concatenate([cell["dtMatches"] for cell in found], axis=1) > 0
    counted = np.concatenate([cell["dtIgnore"] for cell in found], axis=1) == 0
    hits, misses = matched & counted, ~matched & counted
    order = np.argsort(-scores, kind="mergesort")  # as pycocotools sorts
    order = order[counted.any(axis=0)[order]]
    return CategoryMatches(images[order], hits[:, order], misses[:, order], truths)


@lru_cache(maxsize=4)
def draws(images: int, replicates: int = REPLICATES) -> NDArray[np.int64]:
    """(B, I) how often each replicate draws each image; the same for the same numbers."""
    rng = np.random.default_rng(_SEED)
    counts = rng.multinomial(images, np.full(images, 1 / images), size=replicates)
    counts.setflags(write=False)  # shared by all who ask
    return counts


def replicate_aps(categories: Sequence[CategoryMatches], weights: NDArray[np.int64]) -> NDArray[np.float64]:
    """(B,) AP in percent of each replicate, the mean over the categories that it has instances of.

    NaN where it has none at all.
    """
    total = np.zeros(len(weights))
    measured = np.zeros(len(weights), np.int64)
    for category in categories:
        truths = weights @ category.truths
        total += np.where(truths > 0, _category_aps(category, weights, truths), 0.0)
        measured += truths > 0
    return np.where(measured > 0, 100 * total / np.maximum(measured, 1), np.nan)


def _category_aps(
    category: CategoryMatches, weights: NDArray[np.int64], truths: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(B,) mean AP over the IoU thresholds, 0 to 1.

    Precision counts only where recall rises, at hits, so that the rest is looked at there alone. A hit of
    weight 0 stands for no detection: it adds no recall, and no precision above that of the hit before it.
    """
    per_detection = weights[:, category.images].astype(np.float32)
    aps = np.zeros(len(weights))
    for hits, misses in zip(category.hits, category.misses, strict=True):
        move()
        places = np.flatnonzero(hits)
        if not places.size:
            continue
        found = np.cumsum(per_detection[:, places], axis=1, dtype=np.float64)
        wrong = np.cumsum(per_detection * misses, axis=1)[:, places]
        precision = found / np.maximum(found + wrong, 1)
        envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        reached = np.searchsorted(RECALLS, found / np.maximum(truths, 1)[:, None], side="right")
        steps = np.diff(reached, axis=1, prepend=0)
        aps += (steps * envelope).sum(axis=1) / len(RECALLS)
    mean: NDArray[np.float64] = aps / len(category.hits)
    return mean


def interval(
    estimate: float, replicates: NDArray[np.float64], confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """The bias-corrected percentile interval.

    Args:
        estimate: On all images.
        replicates: (B,); NaN is left out.
        confidence: 0 to 1.
    """
    values = replicates[np.isfinite(replicates)]
    if not values.size:
        return estimate, estimate
    # ties count half; kept off 0 and 1, where the correction would be infinite
    below = (np.sum(values < estimate) + 0.5 * np.sum(values == estimate)) / len(values)
    margin = 1 / (len(values) + 1)
    shift = 2 * _NORMAL.inv_cdf(float(np.clip(below, margin, 1 - margin)))
    tail = _NORMAL.inv_cdf((1 + confidence) / 2)
    low, high = np.quantile(values, [_NORMAL.cdf(shift - tail), _NORMAL.cdf(shift + tail)])
    return float(min(low, estimate)), float(max(high, estimate))
