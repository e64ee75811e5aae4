"""From a Detectron2 record to a model's input: augmented for training, resized for evaluation."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pycocotools.mask as rle
import torch
from detectron2.data import detection_utils
from detectron2.data import transforms as T  # noqa: N812  # Detectron2's own alias
from detectron2.structures import BitMasks, Boxes, BoxMode, Instances, PolygonMasks, polygons_to_bitmask

from runners.annotations.segmentations import is_flat
from runners.detectron.data import IMAGES, DatasetDict, ImageArray, ImageCache

Points: TypeAlias = npt.NDArray[np.float64]  # (n, 2), x and y in pixels, the corner of the image at 0, 0

_KEPT = ("file_name", "image_id", "height", "width")
_RGB_TO_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in Detectron2's RandomSaturation


class TestMapper:
    """Records to the inputs of an evaluated model: image resized, no annotations, no randomness.

    Args:
        cfg: A Detectron2 config; its INPUT node is read.
        images: Where decoded images are kept; the process's own cache by default.
    """

    __test__ = False  # not a test case, whatever its name

    def __init__(self, cfg: Any, *, images: ImageCache = IMAGES) -> None:
        self._format: str = cfg.INPUT.FORMAT
        self._images = images
        self._resize = T.ResizeShortestEdge(cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST, "choice")

    def __call__(self, record: DatasetDict) -> DatasetDict:
        """Gives file_name, image_id, height, width (of the file) and image, an own (C, H, W) tensor.

        Raises:
            SizeMismatchError: The file has another size than the record says.
        """
        image = self._images.get(record["file_name"], self._format)
        detection_utils.check_image_size(record, image)
        with _seeded((0,)):  # the resize draws, even from one size: the caller's numbers must not move
            transform = self._resize.get_transform(image)
        sample: DatasetDict = {key: record[key] for key in _KEPT if key in record}
        sample["image"] = _tensor(_resized(transform, image))
        return sample


class TrainMapper:
    """Records to training samples, augmented by numbers that depend on (seed, position) alone.

    With the extra keys of INPUT at 0, bit for bit what Detectron2's DatasetMapper gives: crop, resize,
    flip. Brightness, contrast and saturation come after. Images that hold an RLE get BitMasks, the others
    PolygonMasks, unless `INPUT.MASK_FORMAT` is bitmask; models take both in one batch. Coordinates that the
    JSON gives in whole pixels are moved exactly, where Detectron2 truncates them.

    Args:
        cfg: A Detectron2 config with masksweep's extra INPUT keys; its INPUT node is read.
        seed: 0 to 2**32 - 1.
        images: Where decoded images are kept; the process's own cache by default.
    """

    def __init__(self, cfg: Any, *, seed: int, images: ImageCache = IMAGES) -> None:
        self._format: str = cfg.INPUT.FORMAT
        self._bitmasks: bool = cfg.INPUT.MASK_FORMAT == "bitmask"
        self._cropped: bool = cfg.INPUT.CROP.ENABLED
        self._seed = seed
        self._images = images
        self._augmentations = T.AugmentationList(augmentations(cfg))
        self._targets: dict[int, _Targets] = {}

    def __call__(self, record: DatasetDict, position: int) -> DatasetDict:
        """Gives what TestMapper gives, of the augmented image, and `instances` without crowd regions.

        Args:
            record: A Detectron2 record; not changed.
            position: The sample's place in the training stream, 0 to 2**63 - 1.

        Returns:
            A dict with `image`, a (C, H, W) tensor, and `instances`: gt_boxes (XYXY), gt_classes, gt_masks,
            without those that the crop left nothing of. An image may be left without any instance.

        Raises:
            SizeMismatchError: The file has another size than the record says.
        """
        image = self._images.get(record["file_name"], self._format)
        detection_utils.check_image_size(record, image)
        augmented = T.AugInput(image)
        with _seeded((self._seed, position & 0xFFFFFFFF, position >> 32)):
            transforms = self._augmentations(augmented)
        height, width = augmented.image.shape[:2]
        targets = self._targets_of(record)
        use_bitmasks = self._bitmasks or targets.has_rle
        instances = targets.transformed(transforms, (height, width), use_bitmasks, self._cropped)
        sample: DatasetDict = {key: record[key] for key in _KEPT if key in record}
        sample["image"] = _tensor(augmented.image)
        sample["instances"] = detection_utils.filter_empty_instances(instances)
        return sample

    def _targets_of(self, record: DatasetDict) -> "_Targets":
        # Keyed by identity; as the list is kept alive, no other one gets the same identity.
        annotations = record["annotations"]
        targets = self._targets.get(id(annotations))
        if targets is None:
            targets = self._targets[id(annotations)] = _Targets.of(annotations)
        return targets


def augmentations(cfg: Any) -> list[T.Augmentation]:
    """The training augmentations that a config asks for, in the order in which they are applied."""
    chosen: list[T.Augmentation] = []
    if cfg.INPUT.CROP.ENABLED:
        chosen.append(T.RandomCrop(cfg.INPUT.CROP.TYPE, cfg.INPUT.CROP.SIZE))
    resize = T.ResizeShortestEdge(
        cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.MAX_SIZE_TRAIN, cfg.INPUT.MIN_SIZE_TRAIN_SAMPLING
    )
    jitter = float(cfg.INPUT.SCALE_JITTER)
    chosen.append(JitteredResize(resize, jitter) if jitter else resize)
    flip = cfg.INPUT.RANDOM_FLIP
    if flip != "none":
        chosen.append(T.RandomFlip(horizontal=flip == "horizontal", vertical=flip == "vertical"))
    if cfg.INPUT.BRIGHTNESS:
        chosen.append(T.RandomBrightness(1 - cfg.INPUT.BRIGHTNESS, 1 + cfg.INPUT.BRIGHTNESS))
    if cfg.INPUT.CONTRAST:
        chosen.append(T.RandomContrast(1 - cfg.INPUT.CONTRAST, 1 + cfg.INPUT.CONTRAST))
    if cfg.INPUT.SATURATION and cfg.INPUT.FORMAT in ("RGB", "BGR"):
        luma = _RGB_TO_LUMA if cfg.INPUT.FORMAT == "RGB" else _RGB_TO_LUMA[::-1]
        chosen.append(Saturation(cfg.INPUT.SATURATION, luma))
    return chosen


class JitteredResize(T.Augmentation):  # type: ignore[misc]  # detectron2 has no types
    """Resizes as `resize` would, times a factor drawn from (1 - jitter, 1 + jitter).

    The factor comes after the limit on the longer edge: where both are equal, half of it would be lost.
    """

    def __init__(self, resize: T.ResizeShortestEdge, jitter: float) -> None:
        super().__init__()
        self._init({"resize": resize, "jitter": jitter})

    def get_transform(self, image: ImageArray) -> T.Transform:
        """Draws a size for a (H, W, C) image."""
        base = self.resize.get_transform(image)
        factor = np.random.uniform(1 - self.jitter, 1 + self.jitter)
        height, width = image.shape[:2]
        # a size of 0 means "as it is", for which Detectron2 gives a NoOpTransform
        new_h, new_w = (base.new_h, base.new_w) if isinstance(base, T.ResizeTransform) else (height, width)
        new_h, new_w = max(1, int(new_h * factor + 0.5)), max(1, int(new_w * factor + 0.5))
        return T.ResizeTransform(height, width, new_h, new_w, self.resize.interp)


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


@dataclass(frozen=True, slots=True)
class _Targets:
    """The annotations of one image that can be learnt from, converted once: no crowds, nothing without area.

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
        return any(code is not None for code in self.rles)

    @staticmethod
    def of(annotations: list[dict[str, Any]]) -> "_Targets":
        kept = [
            item for item in annotations if not item.get("iscrowd", 0) and _has_area(item["segmentation"])
        ]
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
        return _Targets(
            annotations,
            np.asarray(boxes, dtype=np.float64).reshape(-1, 4),
            np.asarray([item["category_id"] for item in kept], dtype=np.int64),
            np.concatenate(points) if points else np.zeros((0, 2)),
            lengths,
            rles,
        )

    def transformed(
        self, transforms: T.TransformList, size: tuple[int, int], bitmasks: bool, cropped: bool
    ) -> Instances:
        """The instances after `transforms`; `size` is the (height, width) they lead to."""
        height, width = size
        instances = Instances(size)
        masks: BitMasks | PolygonMasks
        polygons = self._polygons(transforms, size, cropped)
        if bitmasks:
            planes = np.zeros((len(polygons), height, width), dtype=bool)
            for plane, parts, code in zip(planes, polygons, self.rles, strict=True):
                if code is None:
                    plane[:] = polygons_to_bitmask(parts, height, width)
                else:
                    plane[:] = transforms.apply_segmentation(rle.decode(code))
            masks = BitMasks(torch.from_numpy(planes))
        else:
            masks = PolygonMasks(polygons)
        # what a crop leaves of a part has another box than what it leaves of the part's box
        instances.gt_boxes = masks.get_bounding_boxes() if cropped else Boxes(self._boxes(transforms, size))
        instances.gt_classes = torch.from_numpy(self.classes.copy())
        instances.gt_masks = masks
        return instances

    def _boxes(self, transforms: T.TransformList, size: tuple[int, int]) -> npt.NDArray[np.float64]:
        if not len(self.boxes):
            return self.boxes.copy()
        height, width = size
        moved = transforms.apply_box(self.boxes.copy()).clip(min=0)
        return np.asarray(np.minimum(moved, [width, height, width, height]))

    def _polygons(
        self, transforms: T.TransformList, size: tuple[int, int], cropped: bool
    ) -> list[list[npt.NDArray[np.float64]]]:
        moved = transforms.apply_coords(self.points.copy()) if len(self.points) else self.points
        result: list[list[npt.NDArray[np.float64]]] = []
        start = 0
        for lengths in self.lengths:
            parts: list[npt.NDArray[np.float64]] = []
            for length in lengths or ():
                part = moved[start : start + length]
                start += length
                if cropped:
                    part = clip_polygon(part, size)
                if len(part):
                    parts.append(part.reshape(-1).copy())
            result.append(parts)
        return result


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


@contextmanager
def _seeded(words: Sequence[int]) -> Iterator[None]:
    """Detectron2's augmentations draw from numpy's global generator: seed it, then put it back."""
    state = np.random.get_state(legacy=False)
    np.random.seed(words)
    try:
        yield
    finally:
        np.random.set_state(state)


def _resized(transform: T.Transform, image: ImageArray) -> ImageArray:
    same = isinstance(transform, T.ResizeTransform) and (transform.new_h, transform.new_w) == image.shape[:2]
    return image if same else transform.apply_image(image)


def _tensor(image: ImageArray) -> torch.Tensor:
    """A (H, W, C) image as a (C, H, W) tensor that shares no memory with it."""
    return torch.from_numpy(np.array(image.transpose(2, 0, 1), order="C"))
