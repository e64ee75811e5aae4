"""The annotations of an image, moved with it: boxes, polygons and RLE masks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pycocotools.mask as rle
import torch
from detectron2.data import transforms as T  # noqa: N812  # Detectron2's own alias
from detectron2.structures import BitMasks, Boxes, BoxMode, Instances, PolygonMasks, polygons_to_bitmask

from runners.annotations.segmentations import is_flat

Points: TypeAlias = npt.NDArray[np.float64]  # (n, 2), x and y in pixels, the corner of the image at 0, 0
Plane: TypeAlias = npt.NDArray[np.bool_]  # (H, W), one instance's mask


class RevealingTransform(T.Transform):  # type: ignore[misc]  # detectron2 has no types
    """A transform that may bring in what lies outside of its image, where there are no pixels to show.

    Polygons, which do not end at the image's border as pixels do, are clipped to it before.

    Attributes:
        seen: Height and width in pixels of the image that it takes.
    """

    seen: tuple[int, int]


def learnt_from(annotations: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of a Detectron2 record that models train on: no crowd regions, nothing without an area."""
    return [item for item in annotations if not item.get("iscrowd", 0) and _has_area(item["segmentation"])]


@dataclass(frozen=True, slots=True)
class Targets:
    """The annotations of one image that are learnt from, converted once.

    Attributes:
        annotations: The list it was made from, kept alive.
        boxes: (N, 4) XYXY in pixels of the file.
        classes: (N,) contiguous classes.
        points: All polygons' corners, one after the other.
        lengths: For each instance the corners of each of its polygons; None if it is an RLE.
        rles: For each instance its RLE; None if it is polygons.
    """

    annotations: list[dict[str, Any]]
    boxes: npt.NDArray[np.float64]
    classes: npt.NDArray[np.int64]
    points: Points
    lengths: list[list[int] | None]
    rles: list[dict[str, Any] | None]

    @property
    def has_rle(self) -> bool:
        """Whether any instance is an RLE, which no transform can move but as pixels."""
        return any(code is not None for code in self.rles)

    @staticmethod
    def of(annotations: list[dict[str, Any]]) -> "Targets":
        """From those annotations of a Detectron2 record that are learnt from."""
        kept = learnt_from(annotations)
        boxes = [BoxMode.convert(item["bbox"], item["bbox_mode"], BoxMode.XYXY_ABS) for item in kept]
        points: list[Points] = []
        lengths: list[list[int] | None] = []
        rles: list[dict[str, Any] | None] = []
        for item in kept:
            segmentation = item["segmentation"]
            if isinstance(segmentation, dict):
                lengths.append(None)
                rles.append(segmentation)
            else:
                polygons = [np.asarray(part, dtype=np.float64).reshape(-1, 2) for part in segmentation]
                points += polygons
                lengths.append([len(polygon) for polygon in polygons])
                rles.append(None)
        return Targets(
            annotations,
            np.asarray(boxes, dtype=np.float64).reshape(-1, 4),
            np.asarray([item["category_id"] for item in kept], dtype=np.int64),
            np.concatenate(points) if points else np.zeros((0, 2)),
            lengths,
            rles,
        )

    def transformed(
        self, transforms: T.TransformList, size: tuple[int, int], *, bitmasks: bool, cut: bool
    ) -> Instances:
        """The instances after `transforms`.

        Args:
            transforms: What was done to the image.
            size: The (height, width) that they lead to.
            bitmasks: Whether the masks are to be drawn; RLEs have to be.
            cut: Whether the transforms may leave parts of the image out.
        """
        instances = Instances(size)
        masks: BitMasks | PolygonMasks
        if bitmasks:
            planes = np.zeros((len(self.rles), *size), dtype=bool)
            for plane, drawn in zip(planes, self.planes(transforms, size, cut=cut), strict=True):
                plane[:] = drawn
            masks = BitMasks(torch.from_numpy(planes))
        else:
            masks = PolygonMasks(self._polygons(transforms, size, cut))
        # what a crop leaves of a part has another box than what it leaves of the part's box
        instances.gt_boxes = masks.get_bounding_boxes() if cut else Boxes(self._boxes(transforms, size))
        instances.gt_classes = torch.from_numpy(self.classes.copy())
        instances.gt_masks = masks
        return instances

    def planes(
        self,
        transforms: T.TransformList,
        size: tuple[int, int],
        *,
        cut: bool,
        chosen: Sequence[int] | None = None,
    ) -> Iterator[Plane]:
        """The masks after `transforms`, drawn one by one.

        Args:
            transforms: What was done to the image.
            size: The (height, width) that they lead to.
            cut: Whether the transforms may leave parts of the image out.
            chosen: The instances to draw, in this order; None for all.
        """
        polygons = self._polygons(transforms, size, cut)
        for index in range(len(self.rles)) if chosen is None else chosen:
            code = self.rles[index]
            if code is None:
                yield polygons_to_bitmask(polygons[index], *size)
            else:
                yield transforms.apply_segmentation(rle.decode(code)).astype(bool)

    def _boxes(self, transforms: T.TransformList, size: tuple[int, int]) -> npt.NDArray[np.float64]:
        if not len(self.boxes):
            return self.boxes.copy()
        height, width = size
        moved = transforms.apply_box(self.boxes.copy()).clip(min=0)
        return np.asarray(np.minimum(moved, [width, height, width, height]))

    def _polygons(
        self, transforms: T.TransformList, size: tuple[int, int], cut: bool
    ) -> list[list[npt.NDArray[np.float64]]]:
        """For each instance the corners of its polygons, x and y in turn; nothing for an RLE."""
        outline = _Outline(self.points, self.lengths)
        if not cut:
            outline = outline.moved(transforms)
        else:
            waiting: list[T.Transform] = []
            for transform in transforms.transforms:
                if isinstance(transform, RevealingTransform):
                    outline = outline.moved(T.TransformList(waiting)).clipped(transform.seen)
                    waiting = []
                waiting.append(transform)
            outline = outline.moved(T.TransformList(waiting)).clipped(size)
        return [[part.reshape(-1).copy() for part in parts] for parts in outline.parts()]


@dataclass(frozen=True, slots=True)
class _Outline:
    """The polygons of several instances; the attributes are those of `Targets`."""

    points: Points
    lengths: Sequence[Sequence[int] | None]

    def moved(self, transforms: T.TransformList) -> "_Outline":
        if not len(self.points):
            return self
        return _Outline(transforms.apply_coords(self.points.copy()), self.lengths)

    def clipped(self, size: tuple[int, int]) -> "_Outline":
        clipped = [[clip_polygon(part, size) for part in parts] for parts in self.parts()]
        points = [part for parts in clipped for part in parts]
        return _Outline(
            np.concatenate(points) if points else self.points,
            [[len(part) for part in parts] for parts in clipped],
        )

    def parts(self) -> Iterator[list[Points]]:
        """Each instance's polygons, without those of which a clip left nothing."""
        start = 0
        for lengths in self.lengths:
            parts = []
            for length in lengths or ():
                if length:
                    parts.append(self.points[start : start + length])
                start += length
            yield parts


def _has_area(segmentation: dict[str, Any] | list[list[float]]) -> bool:
    return isinstance(segmentation, dict) or not all(map(is_flat, segmentation))


def clip_polygon(polygon: Points, size: tuple[int, int]) -> Points:
    """What of a polygon lies within an image, by Sutherland and Hodgman (CACM 17(1), 1974).

    A concave polygon cut in two stays one outline whose halves touch along the border: drawn and measured
    it is the same. fvcore's CropTransform.apply_polygons needs shapely, which Detectron2 does not install.

    Args:
        polygon: (n, 2) corners.
        size: Height and width of the image in pixels.

    Returns:
        (m, 2) corners, m = 0 if nothing with an area is left.
    """
    height, width = size
    borders = (0, 0.0, 1.0), (0, float(width), -1.0), (1, 0.0, 1.0), (1, float(height), -1.0)
    for axis, limit, sign in borders:
        depth = sign * (polygon[:, axis] - limit)
        inside = depth >= 0
        if inside.all():
            continue
        if not inside.any():
            return np.zeros((0, 2))
        following, next_depth = np.roll(polygon, -1, axis=0), np.roll(depth, -1)
        crossing = inside != np.roll(inside, -1)
        share = np.where(crossing, depth / np.where(crossing, depth - next_depth, 1.0), 0.0)[:, None]
        crossings = polygon + share * (following - polygon)
        crossings[:, axis] = limit
        pairs = np.stack([polygon, crossings], axis=1).reshape(-1, 2)
        polygon = pairs[np.stack([inside, crossing], axis=1).reshape(-1)]
    x, y = polygon[:, 0], polygon[:, 1]
    area = abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2
    return polygon if len(polygon) >= 3 and area > 0 else np.zeros((0, 2))
