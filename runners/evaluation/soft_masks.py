"""Soft masks pasted into their image once, kept as levels of a few thresholds."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import hotcoco.mask
import numpy as np
import torch
from detectron2.layers.mask_ops import BYTES_PER_FLOAT, GPU_MEM_LIMIT, _do_paste_mask
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Region:
    """A soft mask where it lies in its image.

    Attributes:
        top, left: The region's first row and column in the image.
        probabilities: (h, w) float32; outside of the region the mask is 0.
    """

    top: int
    left: int
    probabilities: NDArray[np.float32]

    def cut(self, plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The same region of something of the image's size."""
        height, width = self.probabilities.shape
        return plane[self.top : self.top + height, self.left : self.left + width]


@dataclass(frozen=True, slots=True)
class PackedMask:
    """A mask at several thresholds, in some hundred bytes.

    Attributes:
        size: (height, width) of the image.
        top, left: The region's first row and column in the image.
        shape: (h, w) of the region.
        levels: Compressed (h, w) uint8: how many of the thresholds a pixel's probability reaches.
    """

    size: tuple[int, int]
    top: int
    left: int
    shape: tuple[int, int]
    levels: bytes

    def encode(self, reached: int) -> dict[str, object]:
        """The run-length encoding, in COCO's compressed form, of the pixels that reach so many thresholds."""
        plane = np.zeros(self.size, np.uint8, order="F")
        height, width = self.shape
        levels = np.frombuffer(zlib.decompress(self.levels), np.uint8).reshape(self.shape)
        plane[self.top : self.top + height, self.left : self.left + width] = levels >= reached
        encoded: dict[str, object] = hotcoco.mask.encode(plane)
        return encoded


def paste(masks: torch.Tensor, boxes: torch.Tensor, size: tuple[int, int]) -> Iterator[Region]:
    """Pastes soft masks into an image, with the numbers of Detectron2's `paste_masks_in_image`.

    Args:
        masks: (N, M, M) in 0 to 1.
        boxes: (N, 4) XYXY in pixels of the image.
        size: (height, width) of the image.

    Source: detectron2/layers/mask_ops.py, which gives them only after a threshold.
    """
    height, width = size
    if masks.device.type == "cpu":
        for mask, box in zip(masks, boxes, strict=True):
            soft, (rows, columns) = _do_paste_mask(
                mask[None, None], box[None], height, width, skip_empty=True
            )
            yield Region(int(rows.start), int(columns.start), soft[0].numpy())
        return
    chunk = max(1, GPU_MEM_LIMIT // (height * width * BYTES_PER_FLOAT))
    for start in range(0, len(masks), chunk):
        some = slice(start, start + chunk)
        soft, _ = _do_paste_mask(masks[some, None], boxes[some], height, width, skip_empty=False)
        for plane in soft.cpu().numpy():
            yield Region(0, 0, plane)


def levels_of(region: Region, thresholds: NDArray[np.float32]) -> NDArray[np.uint8]:
    """For each pixel how many of the ascending thresholds it reaches; compared in float32, as torch does."""
    # NaN reaches no threshold, but searchsorted puts it last
    soft = np.nan_to_num(region.probabilities, nan=-1.0)
    return np.searchsorted(thresholds, soft.ravel(), side="right").astype(np.uint8).reshape(soft.shape)


def pack(region: Region, levels: NDArray[np.uint8], size: tuple[int, int]) -> PackedMask:
    """Keeps the part of the levels that is not 0."""
    rows, columns = np.flatnonzero(levels.any(axis=1)), np.flatnonzero(levels.any(axis=0))
    if not len(rows):
        return PackedMask(size, region.top, region.left, (0, 0), zlib.compress(b"", 1))
    top, left = int(rows[0]), int(columns[0])
    inside = np.ascontiguousarray(levels[top : rows[-1] + 1, left : columns[-1] + 1])
    shape = (inside.shape[0], inside.shape[1])
    return PackedMask(size, region.top + top, region.left + left, shape, zlib.compress(inside.tobytes(), 1))


def overlaps(
    region: Region, levels: NDArray[np.uint8], thresholds: int, truths: Sequence[NDArray[np.uint8]]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pixel counts of a mask at each threshold, alone and shared with ground-truth masks.

    Args:
        region: Where the mask lies.
        levels: (h, w), from `levels_of`.
        thresholds: How many there are, T.
        truths: G masks of the image's size, 0 or 1.

    Returns:
        (T,) areas and (T, G) intersections, both in pixels.
    """
    flat = levels.ravel()
    counts = np.zeros((len(truths) + 1, thresholds + 1), np.int64)
    counts[0] = np.bincount(flat, minlength=thresholds + 1)
    for row, truth in enumerate(truths, start=1):
        inside = region.cut(truth)
        if inside.any():
            counts[row] = np.bincount(flat[inside.ravel().view(bool)], minlength=thresholds + 1)
    reached = counts[:, :0:-1].cumsum(axis=1)[:, ::-1]  # pixels of level t or more, t = 1 ... T
    return reached[0], reached[1:].T
