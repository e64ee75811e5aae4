"""Augmentations that change pixels where they are: brightness, contrast, saturation."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from detectron2.data import transforms as T  # noqa: N812  # Detectron2's own alias

from runners.detectron.data import ImageArray

_RGB_TO_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in Detectron2's RandomSaturation


def colour(cfg: Any) -> list[T.Augmentation]:
    """The augmentations of a config that change colours, in the order in which they are applied."""
    chosen: list[T.Augmentation] = []
    if cfg.INPUT.BRIGHTNESS:
        chosen.append(T.RandomBrightness(1 - cfg.INPUT.BRIGHTNESS, 1 + cfg.INPUT.BRIGHTNESS))
    if cfg.INPUT.CONTRAST:
        chosen.append(T.RandomContrast(1 - cfg.INPUT.CONTRAST, 1 + cfg.INPUT.CONTRAST))
    if cfg.INPUT.SATURATION and cfg.INPUT.FORMAT in ("RGB", "BGR"):
        luma = _RGB_TO_LUMA if cfg.INPUT.FORMAT == "RGB" else _RGB_TO_LUMA[::-1]
        chosen.append(Saturation(cfg.INPUT.SATURATION, luma))
    return chosen


class Saturation(T.Augmentation):  # type: ignore[misc]  # detectron2 has no types
    """Blends with the grey image by a factor from (1 - spread, 1 + spread).

    Detectron2's RandomSaturation takes the channels for RGB; Detectron2's models see BGR.
    """

    def __init__(self, spread: float, luma: Sequence[float]) -> None:
        super().__init__()
        self._init({"spread": spread, "luma": tuple(luma)})

    def get_transform(self, image: ImageArray) -> T.Transform:
        """Draws a factor for a (H, W, 3) image."""
        weight = np.random.uniform(1 - self.spread, 1 + self.spread)
        grey = image.dot(self.luma)[:, :, np.newaxis]
        return T.BlendTransform(src_image=grey, src_weight=1 - weight, dst_weight=weight)
