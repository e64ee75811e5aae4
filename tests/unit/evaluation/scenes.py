"""Images with masks at known overlaps, for tests of what is made of detections."""

from collections.abc import Mapping, Sequence
from typing import Any

import hotcoco.mask
import numpy as np

from runners.evaluation.coco import GroundTruth, ground_truth
from runners.evaluation.detections import Detections

SIZE = 40
CATEGORIES = ({"id": 3, "name": "gear"}, {"id": 7, "name": "bracket"})

Bar = tuple[int, int, int]
"""Row, first column and length of a mask one pixel high."""


def plane(bar: Bar) -> np.ndarray:
    """(SIZE, SIZE) of 0 and 1."""
    row, start, length = bar
    mask = np.zeros((SIZE, SIZE), np.uint8, order="F")
    mask[row, start : start + length] = 1
    return mask


def truth_of(*images: Sequence[tuple[Any, ...]]) -> GroundTruth:
    """Images 1, 2, ... of objects (class, bar) or (class, bar, "crowd")."""
    annotations = []
    for image_id, objects in enumerate(images, 1):
        for k, bar, *crowd in objects:
            rle = hotcoco.mask.encode(plane(bar))
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": CATEGORIES[k]["id"],
                    "iscrowd": int(bool(crowd)),
                    "segmentation": {"size": [SIZE, SIZE], "counts": rle["counts"].decode()},
                }
            )
    return ground_truth(
        {
            "images": [{"id": i, "height": SIZE, "width": SIZE} for i in range(1, len(images) + 1)],
            "annotations": annotations,
            "categories": list(CATEGORIES),
        }
    )


def detections_of(*images: Sequence[tuple[int, float, Bar]]) -> list[Detections]:
    """Images 1, 2, ... of detections (class, score, bar)."""
    return [
        Detections(
            image_id=image_id,
            boxes=np.array(
                [[bar[1], bar[0], bar[1] + bar[2], bar[0] + 1] for _, _, bar in found], np.float32
            ).reshape(-1, 4),
            scores=np.array([score for _, score, _ in found], np.float32),
            classes=np.array([k for k, _, _ in found], np.int64),
            masks=[encoded(bar) for _, _, bar in found],
        )
        for image_id, found in enumerate(images, 1)
    ]


def encoded(bar: Bar) -> Mapping[str, Any]:
    """A mask as detections have it."""
    mask: Mapping[str, Any] = hotcoco.mask.encode(plane(bar))
    return mask


def random_scene(seed: int, images: int = 8) -> tuple[GroundTruth, list[Detections]]:
    """Objects, some of them crowds, and detections around them, with ties of scores and of overlaps."""
    rng = np.random.default_rng(seed)
    objects, found = [], []
    for number in range(images):
        wanted = [
            (int(rng.integers(2)), (int(rng.integers(4)), int(rng.integers(20)), int(rng.integers(4, 12))))
            for _ in range(0 if number == 3 else rng.integers(1, 6))
        ]
        objects.append([(*each, "crowd") if rng.random() < 0.2 else each for each in wanted])
        near = [
            (
                k if rng.random() < 0.8 else 1 - k,
                float(np.round(rng.random(), 1)),
                (row, start + int(rng.integers(3)), length + int(rng.integers(-1, 3))),
            )
            for k, (row, start, length) in wanted
            for _ in range(rng.integers(0, 4))
        ]
        stray = [(int(rng.integers(2)), float(np.round(rng.random(), 1)), (9, 3, 5)) for _ in range(2)]
        found.append(near + stray)
    return truth_of(*objects), detections_of(*found)
