"""The choice of inference settings, and an honest score of it."""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from runners.evaluation.settings_grid import GridScorer, Score
from sweeps.core.inference import InferenceSettings, SettingsGrid


@dataclass(frozen=True, slots=True)
class Choice:
    """Which settings are best, and which to judge each image by.

    Attributes:
        chosen: Best on all images by average precision.
        operating: `chosen` with the score threshold of least LRP error: what to deploy. AP alone would always
            take the lowest, since it ranks and never decides.
        judged_by: For each image id settings that were chosen without that image.
        default: What they are compared with.
        scores: Of every combination and of the default, on all images.
    """

    chosen: InferenceSettings
    operating: InferenceSettings
    judged_by: Mapping[int, InferenceSettings]
    default: InferenceSettings
    scores: Mapping[InferenceSettings, Score]


def choose(scorer: GridScorer, grid: SettingsGrid, images: Collection[int]) -> Choice:
    """Chooses on one half of the images what the other half is judged by, and the reverse.

    A score at settings that were chosen on the same images is too good by luck, the more so the bigger the
    grid; chosen on other images it is not.

    Args:
        scorer: Of the pass.
        grid: What may be chosen.
        images: Ids of the validation images.

    Source: cross-fitting, as in Chernozhukov et al., arXiv:1608.00060, section 1.
    """
    combinations = grid.combinations()
    scores = scorer.scores({*combinations, grid.default}, images)
    chosen = _best(combinations, scores, grid.default) or grid.default
    operating = min(
        (replace(chosen, score_threshold=score) for score in grid.score_thresholds),
        key=lambda settings: scores[settings].lrp,
    )
    judged_by: dict[int, InferenceSettings] = {}
    first, second = halves(images)
    for judged, other in ((first, second), (second, first)):
        its = chosen
        if len(combinations) > 1:
            # where the other half has nothing to measure, no choice is honest but the one made before
            its = _best(combinations, scorer.scores(combinations, other), grid.default) or grid.default
        judged_by |= dict.fromkeys(judged, its)
    return Choice(chosen, operating, judged_by, grid.default, scores)


def halves(images: Iterable[int]) -> tuple[frozenset[int], frozenset[int]]:
    """Two halves of the images, equal up to one, by a hash of their ids: neighbours in time are split."""
    order = sorted(images, key=lambda image: hashlib.sha256(str(image).encode()).digest())
    return frozenset(order[::2]), frozenset(order[1::2])


def _best(
    combinations: Sequence[InferenceSettings],
    scores: Mapping[InferenceSettings, Score],
    default: InferenceSettings,
) -> InferenceSettings | None:
    """The combination of highest AP; of equal ones the default, else the first. None if none is measured."""
    measured = [(ap, one) for one in combinations if (ap := scores[one].ap) is not None]
    if not measured:
        return None
    most = max(ap for ap, _ in measured)
    equal = [one for ap, one in measured if ap == most]
    return default if default in equal else equal[0]
