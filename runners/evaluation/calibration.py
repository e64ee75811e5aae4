"""Calibration: do probabilities mean what they say? Of the pixels at 0.7, are 70% the object's?

The expected calibration error is the mean gap between probability and frequency over equally wide bins,
weighted by what falls into them: Guo et al., https://arxiv.org/abs/1706.04599; for detections Küppers et al.,
https://arxiv.org/abs/2004.13546.
"""

import numpy as np
from numpy.typing import ArrayLike

from runners.evaluation.outcomes import Outcomes
from sweeps.core.details import Reliability, ReliabilityBin

BINS = 15
"""As in Guo et al."""


class Calibration:
    """Predictions summed up in bins: 360 bytes, however many there were.

    Probability p falls into the bin of [k / 15, (k + 1) / 15); 1 into the last one.
    """

    def __init__(self) -> None:
        self._count = np.zeros(BINS, np.int64)
        self._predicted = np.zeros(BINS)
        self._actual = np.zeros(BINS)

    def add(self, probabilities: ArrayLike, truth: ArrayLike) -> None:
        """Takes predictions in.

        Args:
            probabilities: Any shape, 0 to 1.
            truth: The same shape: whether each came true, or the share that did, 0 to 1.

        Raises:
            ValueError: The shapes differ, or a probability is not in 0 to 1.
        """
        p, came_true = np.asarray(probabilities), np.asarray(truth)
        if p.shape != came_true.shape:
            raise ValueError(f"probabilities of shape {p.shape}, but truth of {came_true.shape}")
        if not p.size:
            return
        low, high = p.min(), p.max()
        if not 0 <= low <= high <= 1:  # NaN fails as well
            raise ValueError(f"probabilities from {low} to {high}, but must be in 0 to 1")
        bins = np.minimum((p.ravel() * BINS).astype(np.intp), BINS - 1)
        self._count += np.bincount(bins, minlength=BINS)
        self._predicted += np.bincount(bins, p.ravel(), BINS)
        self._actual += np.bincount(bins, came_true.ravel(), BINS)

    def bins(self) -> tuple[ReliabilityBin, ...]:
        """The bins that hold something, by ascending probability."""
        return tuple(
            ReliabilityBin(
                low=k / BINS,
                high=(k + 1) / BINS,
                count=int(self._count[k]),
                confidence=float(self._predicted[k] / self._count[k]),
                accuracy=float(self._actual[k] / self._count[k]),
            )
            for k in np.flatnonzero(self._count).tolist()
        )

    def ece(self) -> float | None:
        """Expected calibration error in %, 0 to 100; None without a prediction."""
        total = int(self._count.sum())
        return float(np.abs(self._predicted - self._actual).sum() / total * 100) if total else None


class MaskCalibration(Calibration):
    """Calibration of soft masks, one detection at a time, so that no soft mask has to be kept.

    What belongs in it: each detection that is matched with an object and not with a crowd, by
    `runners.evaluation.matching.match` on its mask at threshold 0.5. `probabilities` are the pixels of the
    region that its soft mask is pasted into, (H, W), and `truth` says of each whether it is the object's.
    """


def judge(outcomes: Outcomes, masks: MaskCalibration | None = None) -> tuple[dict[str, float], Reliability]:
    """Metrics in %, and the reliability diagrams. Without predictions a metric is absent, a diagram empty.

    `calibration/score_ECE` is the gap between score and being right; `calibration/score_LaECE` that between
    score and mask IoU, where a wrong detection has 0. All that the model gives counts, over all categories.

    Args:
        outcomes: Of the detections.
        masks: The pixels of their soft masks, for `calibration/mask_ECE`.

    Source of LaECE: Oksuz et al., https://arxiv.org/abs/2307.00934, there with 25 bins and as a mean over the
    categories.
    """
    masks = masks or MaskCalibration()
    scores, ious = Calibration(), Calibration()
    scores.add(outcomes.scores, outcomes.right)
    ious.add(outcomes.scores, outcomes.ious)
    named = {"mask_ECE": masks, "score_ECE": scores, "score_LaECE": ious}
    metrics = {f"calibration/{name}": ece for name, each in named.items() if (ece := each.ece()) is not None}
    return metrics, Reliability(masks.bins(), scores.bins(), ious.bins())
