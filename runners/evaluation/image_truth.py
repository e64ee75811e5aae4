"""An image's ground truth as masks, decoded when they are needed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import hotcoco.mask
import numpy as np
from numpy.typing import NDArray

from runners.evaluation.truth import GroundTruth


@dataclass(frozen=True, slots=True)
class ImageTruth:
    """The ground truth of one class in one image, in the order of the file.

    Attributes:
        areas: (G,) as the annotations give them, in px².
        crowd: (G,) whether it is a crowd region.
        masks: G run-length encodings.
    """

    areas: NDArray[np.float64]
    crowd: NDArray[np.bool_]
    masks: Sequence[dict[str, Any]]

    def decoded(self) -> list[NDArray[np.uint8]]:
        """Masks of the image's size, 0 or 1."""
        return [hotcoco.mask.decode(mask) for mask in self.masks]


NOTHING = ImageTruth(np.zeros(0), np.zeros(0, np.bool_), ())


def truth_by_image(truth: GroundTruth) -> dict[tuple[int, int], ImageTruth]:
    """Ground truth, all of it with masks, by (image id, contiguous class); pairs without any are absent."""
    classes = {category_id: k for k, category_id in enumerate(truth.category_ids)}
    grouped: dict[tuple[int, int], list[Any]] = {}
    for annotation, instance in zip(truth.document["annotations"], truth.instances, strict=True):
        grouped.setdefault((instance.image_id, classes[annotation["category_id"]]), []).append(instance)
    return {
        key: ImageTruth(
            np.array([one.area for one in some], np.float64),
            np.array([one.is_crowd for one in some], np.bool_),
            [one.mask for one in some],
        )
        for key, some in grouped.items()
    }
