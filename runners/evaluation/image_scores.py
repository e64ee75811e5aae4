"""How well each image is segmented: one number an image, for paired tests of two models.

The score is 100 - LRP, with the error of Oksuz et al., Localization Recall Precision,
https://arxiv.org/abs/1807.01696, taken over the detections and objects of one image, of all categories
together: the sum of what each right detection has of mask IoU above the threshold, as a share of what there
is above it, divided by the number of right and wrong detections and missed objects.
"""

import numpy as np

from runners.evaluation.outcomes import Outcomes
from sweeps.core.details import ImageScores

DECIMALS = 3
"""Kept of a score: what is equal up to rounding errors is equal for a test of ranks."""


def image_scores(outcomes: Outcomes, score_threshold: float | None) -> ImageScores | None:
    """The score of each image, 0 to 100; None without an image.

    An image without objects and without detections is perfect, one with either alone has 0. What falls into a
    crowd counts neither way.

    Args:
        outcomes: At one IoU threshold below 1.
        score_threshold: Detections count whose score reaches it: `lrp/score_threshold`, where the LRP error
            of all images together is lowest. None keeps none, as where no detection is right.
    """
    if not outcomes.image_ids:
        return None
    kept = outcomes.scores.astype(np.float64) >= (np.inf if score_threshold is None else score_threshold)
    right = kept & outcomes.right
    images = len(outcomes.image_ids)
    found = np.bincount(outcomes.images[kept], minlength=images)
    hits = np.bincount(outcomes.images[right], minlength=images)
    fit = (outcomes.ious[right] - outcomes.iou_threshold) / (1 - outcomes.iou_threshold)
    total = found + outcomes.image_objects - hits
    gained = np.bincount(outcomes.images[right], fit, images)
    scores = np.where(total > 0, gained / np.maximum(total, 1), 1.0) * 100
    return ImageScores(outcomes.image_ids, tuple(np.clip(scores, 0, 100).round(DECIMALS).tolist()))
