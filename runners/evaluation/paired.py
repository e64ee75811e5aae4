"""Whether one model is better than another: a paired bootstrap over images, and over runs if there are some.

Both models are drawn the same images in each replicate, so that what is hard for both cancels out (Efron and
Tibshirani, An Introduction to the Bootstrap, 1993, section 8.3). Where a model was trained several times, a
replicate draws among its runs as well, rescaled after Rao and Wu, J. American Statistical Association 83,
1988: of n runs the plain bootstrap would show n - 1 in n of their variance.

The replicates give the difference's standard error; its bound is Student's, with the degrees of freedom of
Welch and Satterthwaite, since few images, runs or replicates tell their own spread badly. The candidate is
the best of K on the same images: its lead is too good by luck. Each of the K could have been the one, so that
each gets a Kth of the error that is allowed (Bonferroni). That needs nothing of the others, whose checkpoints
are gone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit  # scipy.stats has it as well, and imports far more

from runners.evaluation.bootstrap import REPLICATES, CategoryMatches, draws, replicate_aps

_SEED = 20261


class Run(Protocol):
    """One evaluation of a model, as far as it can be drawn from."""

    def at(self, weights: NDArray[np.int64]) -> NDArray[np.float64]:
        """(B,) the metric where each image counts as often as (B, I) weights say; NaN: not measured."""

    def touched(self) -> NDArray[np.bool_]:
        """(I,) which images have a part in the metric at all."""


@dataclass(frozen=True, slots=True)
class ApRun:
    """AP in percent, from matches; the mean over categories."""

    categories: Sequence[CategoryMatches]

    def at(self, weights: NDArray[np.int64]) -> NDArray[np.float64]:
        """See `Run`."""
        return replicate_aps(self.categories, weights)

    def touched(self) -> NDArray[np.bool_]:
        """Images with an instance that counts."""
        seen: NDArray[np.bool_] = np.any([category.truths > 0 for category in self.categories], axis=0)
        return seen


@dataclass(frozen=True, slots=True)
class MeanRun:
    """A mean of one value an image, (I,) in the metric's unit."""

    values: NDArray[np.float64]

    def at(self, weights: NDArray[np.int64]) -> NDArray[np.float64]:
        """See `Run`."""
        mean: NDArray[np.float64] = weights @ self.values / weights.sum(axis=1)
        return mean

    def touched(self) -> NDArray[np.bool_]:
        """All."""
        return np.ones(len(self.values), np.bool_)


@dataclass(frozen=True, slots=True)
class Difference:
    """Candidate minus champion.

    Attributes:
        candidate: On all images, the mean over the runs.
        champion: Likewise.
        low: One-sided lower bound of the difference; minus infinity where there is too little to tell.
        high: One-sided upper bound.
        images: That have a part in the metric.
    """

    candidate: float
    champion: float
    low: float
    high: float
    images: int


def difference(
    candidate: Sequence[Run],
    champion: Sequence[Run],
    *,
    confidence: float,
    chosen_among: int = 1,
    replicates: int = REPLICATES,
) -> Difference:
    """How two models differ on the same images.

    Args:
        candidate: Its runs, at least one; over the same images in the same order as the champion's.
        champion: Its runs.
        confidence: Of each bound, 0.5 to 1.
        chosen_among: K, among how many candidates on these images this one was the best; at least 1.
        replicates: Of the bootstrap.

    Raises:
        ValueError: Something is not measured on all images.
    """
    touched = np.any([run.touched() for run in (*candidate, *champion)], axis=0)
    images = int(touched.sum())
    drawn = draws(len(touched), replicates)
    ones = np.ones((1, len(touched)), np.int64)
    rng = np.random.default_rng(_SEED)
    sides = [_Side.of(runs, ones, drawn, rng) for runs in (candidate, champion)]
    first, second = sides
    lead = first.value - second.value
    if not np.isfinite(lead):
        raise ValueError("not measured: there is no object that it could be measured on")
    nothing = Difference(first.value, second.value, -np.inf, np.inf, images)
    if images < 2:
        return nothing
    small = images / (images - 1)  # as for the runs, so that few images do not look sure
    spread = float(np.nanvar(first.over_images - second.over_images, ddof=1) * small)
    apart: list[tuple[float, int]] = [(spread, images - 1)]
    apart += [(side.run_variance, side.runs - 1) for side in sides if side.runs > 1]
    joint = (first.over_both - first.over_images) - (second.over_both - second.over_images)
    total = spread + np.nanvar(joint, ddof=1)  # images and runs are drawn apart
    if total <= 0:
        return Difference(first.value, second.value, lead, lead, images)
    weight = sum(variance**2 / its for variance, its in apart)
    freedom = sum(variance for variance, _ in apart) ** 2 / weight if weight > 0 else images - 1
    quantile = -stdtrit(min(freedom, replicates - 1), (1 - confidence) / chosen_among)
    margin = float(quantile * np.sqrt(total))
    return Difference(first.value, second.value, lead - margin, lead + margin, images)


@dataclass(frozen=True, slots=True)
class _Side:
    """One model's part.

    Attributes:
        value: On all images, the mean over runs.
        over_images: (B,) the same on the images drawn,
        over_both: (B,) and with runs drawn as well.
        runs: How many.
        run_variance: Of the mean over runs, from the spread between them; 0 of a single one.
    """

    value: float
    over_images: NDArray[np.float64]
    over_both: NDArray[np.float64]
    runs: int
    run_variance: float

    @classmethod
    def of(
        cls,
        runs: Sequence[Run],
        ones: NDArray[np.int64],
        drawn: NDArray[np.int64],
        rng: np.random.Generator,
    ) -> "_Side":
        full = np.array([float(run.at(ones)[0]) for run in runs])
        table = np.array([run.at(drawn) for run in runs])  # (R, B)
        count, mean = len(runs), table.mean(axis=0)
        if count == 1:
            return cls(float(full[0]), mean, mean, 1, 0.0)
        picks = rng.integers(count, size=(count, table.shape[1]))
        picked = np.take_along_axis(table, picks, axis=0).mean(axis=0)
        both = mean + np.sqrt(count / (count - 1)) * (picked - mean)
        return cls(float(full.mean()), mean, both, count, float(full.var(ddof=1) / count))
