"""Augmentations that move pixels: resizing by a random factor, large-scale jitter, rotation."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from detectron2.data import transforms as T  # noqa: N812  # Detectron2's own alias
from PIL import Image

from runners.detectron.augmentation.targets import Points, RevealingTransform
from runners.detectron.data import ImageArray

LARGE_SCALE = 0.1, 2.0  # of arXiv:2012.07177


def geometry(cfg: Any) -> list[T.Augmentation]:
    """The augmentations of a config that move pixels, in the order in which they are applied."""
    chosen: list[T.Augmentation] = []
    if cfg.INPUT.CROP.ENABLED:
        chosen.append(T.RandomCrop(cfg.INPUT.CROP.TYPE, cfg.INPUT.CROP.SIZE))
    resize = T.ResizeShortestEdge(
        cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.MAX_SIZE_TRAIN, cfg.INPUT.MIN_SIZE_TRAIN_SAMPLING
    )
    fill = tuple(cfg.MODEL.PIXEL_MEAN)
    if cfg.INPUT.LARGE_SCALE_JITTER:
        chosen.append(LargeScaleJitter(resize, LARGE_SCALE, fill))
    elif cfg.INPUT.SCALE_JITTER:
        chosen.append(JitteredResize(resize, float(cfg.INPUT.SCALE_JITTER)))
    else:
        chosen.append(resize)
    flip = cfg.INPUT.RANDOM_FLIP
    if flip != "none":
        chosen.append(T.RandomFlip(horizontal=flip == "horizontal", vertical=flip == "vertical"))
    if cfg.INPUT.ROTATION:
        chosen.append(Rotation(float(cfg.INPUT.ROTATION), fill))
    return chosen


def cuts(cfg: Any) -> bool:
    """Whether the augmentations of a config may leave parts of an image out."""
    return bool(cfg.INPUT.CROP.ENABLED or cfg.INPUT.LARGE_SCALE_JITTER or cfg.INPUT.ROTATION)


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
        return _scaled(base, factor, image, self.resize.interp)


class LargeScaleJitter(T.Augmentation):  # type: ignore[misc]  # detectron2 has no types
    """Resizes as `resize` would, times a factor from a wide range, then crops or pads to the size without it.

    A larger image is cropped at a random place, a smaller one is padded at its right and its bottom.

    Args:
        resize: Gives the size that the result has.
        scales: Lowest and highest factor.
        fill: Value of padded pixels by channel.

    Source: Simple Copy-Paste is a Strong Data Augmentation Method, arXiv:2012.07177.
    """

    def __init__(
        self, resize: T.ResizeShortestEdge, scales: tuple[float, float], fill: Sequence[float]
    ) -> None:
        super().__init__()
        self._init({"resize": resize, "scales": scales, "fill": fill})

    def get_transform(self, image: ImageArray) -> T.TransformList:
        """Draws a factor and a place for a (H, W, C) image."""
        base = self.resize.get_transform(image)
        height, width = _size_after(base, image)
        scaled = _scaled(base, np.random.uniform(*self.scales), image, self.resize.interp)
        y, x = (
            int(np.random.randint(max(0, new - kept) + 1))
            for new, kept in ((scaled.new_h, height), (scaled.new_w, width))
        )
        window = Window((y, x), (scaled.new_h, scaled.new_w), (height, width), self.fill)
        return T.TransformList([scaled, window])


class Window(RevealingTransform):
    """The part of an image that a window shows; what the image does not reach is filled.

    Args:
        corner: Row and column of the image's pixel in the window's upper left corner, at least 0.
        seen: Height and width of the image in pixels.
        size: Those of the window.
        fill: Value of filled pixels by channel; masks are filled with 0.
    """

    def __init__(
        self, corner: tuple[int, int], seen: tuple[int, int], size: tuple[int, int], fill: Sequence[float]
    ) -> None:
        super().__init__()
        self._set_attributes({"corner": corner, "seen": seen, "size": size, "fill": fill})

    def apply_image(self, img: ImageArray) -> ImageArray:
        """A (H, W, C) image to one of the window's size."""
        return self._shown(img, _fill_of(img, self.fill))

    def apply_segmentation(self, segmentation: ImageArray) -> ImageArray:
        """A (H, W) mask to one of the window's size."""
        return self._shown(segmentation, 0)

    def apply_coords(self, coords: Points) -> Points:
        """Moves (n, 2) points, also those that leave the window."""
        return np.asarray(coords - [self.corner[1], self.corner[0]])

    def _shown(self, pixels: ImageArray, fill: Any) -> ImageArray:
        seen = pixels[self.corner[0] :, self.corner[1] :][: self.size[0], : self.size[1]]
        if seen.shape[:2] == self.size:
            return seen
        shown = np.empty((*self.size, *pixels.shape[2:]), dtype=pixels.dtype)
        shown[:] = fill
        shown[: seen.shape[0], : seen.shape[1]] = seen
        return shown


class Rotation(T.Augmentation):  # type: ignore[misc]  # detectron2 has no types
    """Rotates about the middle of the image by an angle from (-degrees, degrees); the image keeps its size.

    Args:
        degrees: 0 to 180.
        fill: Value of the corners that come free, by channel.
    """

    def __init__(self, degrees: float, fill: Sequence[float]) -> None:
        super().__init__()
        self._init({"degrees": degrees, "fill": fill})

    def get_transform(self, image: ImageArray) -> T.Transform:
        """Draws an angle for a (H, W, C) image."""
        height, width = image.shape[:2]
        return Rotated(np.random.uniform(-self.degrees, self.degrees), (height, width), self.fill)


class Rotated(RevealingTransform):
    """Rotation by Pillow: Detectron2's own needs OpenCV, which it does not install.

    Args:
        degrees: Counterclockwise.
        seen: Height and width of the image in pixels.
        fill: Value of the corners that come free, by channel; masks are filled with 0.
    """

    def __init__(self, degrees: float, seen: tuple[int, int], fill: Sequence[float]) -> None:
        super().__init__()
        self._set_attributes({"degrees": degrees, "seen": seen, "fill": fill})
        self._cos, self._sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        self._middle = np.array([seen[1] / 2, seen[0] / 2])

    def apply_image(self, img: ImageArray) -> ImageArray:
        """A (H, W, C) image, interpolated between its pixels."""
        fill = np.broadcast_to(_fill_of(img, self.fill), img.shape[2:])
        channels = [
            self._turned(img[:, :, channel], Image.Resampling.BILINEAR, fill[channel])
            for channel in range(img.shape[2])
        ]
        return np.stack(channels, axis=2)

    def apply_segmentation(self, segmentation: ImageArray) -> ImageArray:
        """A (H, W) mask: each pixel takes the nearest one's value."""
        return self._turned(segmentation, Image.Resampling.NEAREST, 0)

    def apply_coords(self, coords: Points) -> Points:
        """Moves (n, 2) points, also those that leave the image."""
        turn = np.array([[self._cos, -self._sin], [self._sin, self._cos]])  # rows are points: from the right
        return np.asarray((coords - self._middle) @ turn + self._middle)

    def _turned(self, plane: ImageArray, resampling: Image.Resampling, fill: float) -> ImageArray:
        x, y = self._middle
        cos, sin = self._cos, self._sin
        # From a pixel of the result to where it comes from.
        inverse = cos, -sin, x - cos * x + sin * y, sin, cos, y - sin * x - cos * y
        image = Image.fromarray(np.ascontiguousarray(plane))
        turned = image.transform(
            image.size, Image.Transform.AFFINE, inverse, resampling, fillcolor=plane.dtype.type(fill).item()
        )
        return np.asarray(turned)


def _fill_of(image: ImageArray, fill: Sequence[float]) -> ImageArray:
    """The fill in the image's own type, so that whole pixel values stay whole."""
    values = np.asarray(fill[: image.shape[2]])
    return (np.rint(values) if np.issubdtype(image.dtype, np.integer) else values).astype(image.dtype)


def _size_after(base: T.Transform, image: ImageArray) -> tuple[int, int]:
    # a size of 0 means "as it is", for which Detectron2 gives a NoOpTransform
    if isinstance(base, T.ResizeTransform):
        return base.new_h, base.new_w
    return image.shape[0], image.shape[1]


def _scaled(base: T.Transform, factor: float, image: ImageArray, interp: int) -> T.ResizeTransform:
    new_h, new_w = (max(1, int(side * factor + 0.5)) for side in _size_after(base, image))
    return T.ResizeTransform(image.shape[0], image.shape[1], new_h, new_w, interp)
