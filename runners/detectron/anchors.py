"""Anchors fitted to the training boxes: as many as the base has, of the sizes and shapes that occur."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from detectron2.config import CfgNode
from detectron2.data import transforms as T  # noqa: N812  # Detectron2's own alias

from runners.detectron.data import DatasetDict, RegisteredData, dataset_dicts

Shapes: TypeAlias = npt.NDArray[np.float64]  # (n, 2), width and height in pixels

_MOST_BOXES = 20_000  # of larger sets every so manieth
_MOST_ROUNDS = 100


def fit_anchors(cfg: CfgNode, data: RegisteredData) -> None:
    """Sets the config's anchor sizes and aspect ratios to those of the training boxes.

    The sizes of the boxes, as training sees them, are clustered into as many as the base has at all levels,
    and the smallest go to the finest level; the shapes, whatever their size, into as many as the base has
    aspect ratios, which all levels share. So each level keeps its number of anchors, and weights still fit.

    Args:
        cfg: Changed in its ANCHOR_GENERATOR node; the sizes of training images are read.
        data: The registered data.

    Raises:
        ValueError: The training data has no box.
    """
    node = cfg.MODEL.ANCHOR_GENERATOR
    input_sizes = tuple(cfg.INPUT.MIN_SIZE_TRAIN)
    levels, ratios = _counts(node.SIZES), _counts(node.ASPECT_RATIOS)
    sizes, found_ratios = _fitted(data.train, input_sizes, cfg.INPUT.MAX_SIZE_TRAIN, sum(levels), ratios[0])
    starts = np.cumsum((0, *levels))
    node.SIZES = [list(sizes[a:b]) for a, b in pairwise(starts)]
    node.ASPECT_RATIOS = [list(found_ratios) for _ in ratios]


def _counts(levels: Sequence[Any]) -> tuple[int, ...]:
    """How many values each level has; a plain list stands for one that all levels share."""
    return tuple(len(level) for level in levels) if isinstance(levels[0], Sequence) else (len(levels),)


@lru_cache(maxsize=64)
def _fitted(
    name: str, input_sizes: tuple[int, ...], longest: int, sizes: int, ratios: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Sizes and aspect ratios, ascending; once a process for each data set, input size and number."""
    shapes = box_shapes(dataset_dicts(name), input_sizes, longest)
    if not len(shapes):
        raise ValueError("anchors.preset: fitted needs at least one training box with an area")
    areas = shapes.prod(axis=1, keepdims=True)
    centers = cluster_shapes(shapes, sizes)
    unit = cluster_shapes(shapes / np.sqrt(areas), ratios)
    return (
        tuple(sorted(np.sqrt(centers.prod(axis=1)).round(2).tolist())),
        tuple(sorted((unit[:, 1] / unit[:, 0]).round(3).tolist())),
    )


def box_shapes(records: Sequence[DatasetDict], input_sizes: Sequence[int], longest: int) -> Shapes:
    """Widths and heights of the boxes in training, without augmentation.

    Args:
        records: Detectron2 records with boxes as COCO has them; crowd regions are left out.
        input_sizes: Lengths that the shorter side may get in training; their mean is taken.
        longest: What the longer side may have at most.

    Returns:
        (n, 2), at most 20000 boxes, evenly taken from all of them.
    """
    side = round(float(np.mean(input_sizes)))
    shapes: list[tuple[float, float]] = []
    for record in records:
        height, width = record["height"], record["width"]
        scale = _scale(height, width, side, longest)
        boxes = (item["bbox"] for item in record["annotations"] if not item.get("iscrowd", 0))
        shapes += [(box[2] * scale, box[3] * scale) for box in boxes if box[2] > 0 and box[3] > 0]
    every = max(1, -(-len(shapes) // _MOST_BOXES))
    return np.asarray(shapes[::every], dtype=np.float64).reshape(-1, 2)


def _scale(height: int, width: int, side: int, longest: int) -> float:
    if side == 0:  # Detectron2's "as it is"
        return 1.0
    resized: Any = T.ResizeShortestEdge.get_output_shape(height, width, side, longest)
    return float(resized[0]) / height


def cluster_shapes(shapes: Shapes, count: int) -> Shapes:
    """The centers of `count` clusters by k-means, where near means a large IoU of boxes with a common corner.

    Begins with shapes at even ranks of area, so that nothing depends on chance. A center that no shape is
    nearest to stays where it is.

    Args:
        shapes: (n, 2), n at least 1, above 0.
        count: At least 1.

    Returns:
        (count, 2) widths and heights.

    Source: YOLO9000, arXiv:1612.08242, section 2.
    """
    order = np.lexsort((shapes[:, 0], shapes[:, 1] / shapes[:, 0], shapes.prod(axis=1).round(6)))
    centers = shapes[order[((np.arange(count) + 0.5) / count * len(shapes)).astype(np.int64)]]
    for _ in range(_MOST_ROUNDS):
        nearest = _iou(shapes, centers).argmax(axis=1)
        moved = centers.copy()
        for place in np.unique(nearest):
            moved[place] = shapes[nearest == place].mean(axis=0)
        if np.allclose(moved, centers):
            break
        centers = moved
    return centers


def _iou(shapes: Shapes, centers: Shapes) -> Shapes:
    """(n, k) IoU of each shape with each center."""
    overlap = np.minimum(shapes[:, None], centers[None]).prod(axis=2)
    union = shapes.prod(axis=1)[:, None] + centers.prod(axis=1)[None] - overlap
    return np.asarray(overlap / union)
