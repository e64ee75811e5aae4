"""What a model found in an image. Needs no torch, so that files of predictions can be scored without it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Detections:
    """What a model found in one image, best score first.

    Attributes:
        image_id: The image's id in the annotations file.
        boxes: (N, 4) XYXY in pixels of the original image.
        scores: (N,) in 0 to 1.
        classes: (N,) contiguous class indices, from 0.
        masks: N run-length encodings of the original image's size, or None if the model has no mask head.
    """

    image_id: int
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]
    masks: Sequence[Mapping[str, Any]] | None
