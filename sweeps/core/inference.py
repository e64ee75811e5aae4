"""Inference settings: what a trained model needs no retraining for."""

from dataclasses import dataclass
from itertools import product


@dataclass(frozen=True, slots=True, order=True)
class InferenceSettings:
    """One way to read a trained model.

    Attributes:
        mask_threshold: A pixel belongs to a mask whose probability reaches it; in (0, 1).
        score_threshold: Boxes whose score exceeds it are kept; in (0, 1).
        nms_threshold: Of two boxes of a class that overlap by more than this IoU the worse one is dropped.
        detections_per_image: The best so many of what is left; at least 1.
    """

    mask_threshold: float
    score_threshold: float
    nms_threshold: float
    detections_per_image: int


@dataclass(frozen=True, slots=True)
class SettingsGrid:
    """Every combination of a few values of each setting.

    Attributes:
        mask_thresholds: Ascending, at least one; the same holds for the others.
        default: What the model is compared with, on the grid or not.
    """

    mask_thresholds: tuple[float, ...]
    score_thresholds: tuple[float, ...]
    nms_thresholds: tuple[float, ...]
    detections_per_image: tuple[int, ...]
    default: InferenceSettings

    @classmethod
    def single(cls, settings: InferenceSettings) -> "SettingsGrid":
        """A grid of nothing but `settings`."""
        return cls(
            (settings.mask_threshold,),
            (settings.score_threshold,),
            (settings.nms_threshold,),
            (settings.detections_per_image,),
            settings,
        )

    def combinations(self) -> tuple[InferenceSettings, ...]:
        """All settings, in ascending order."""
        axes = (self.mask_thresholds, self.score_thresholds, self.nms_thresholds, self.detections_per_image)
        return tuple(InferenceSettings(*values) for values in product(*axes))
