"""Soft masks pasted into their image once, kept as levels of a few thresholds."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import hotcoco.mask
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import grid_sample


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
    """Pastes soft masks into an image, each in the region around its box, with Detectron2's numbers.

    Args:
        masks: (N, M, M) in 0 to 1.
        boxes: (N, 4) XYXY in pixels of the image, float32.
        size: (height, width) of the image.

    Source: _do_paste_mask in detectron2/layers/mask_ops.py, which `paste_masks_in_image` applies a threshold
    to. The same operations in numpy take a fifth of the time for masks of some hundred pixels.
    """
    height, width = size
    for mask, (x0, y0, x1, y1) in zip(masks, boxes.cpu().numpy().astype(np.float32), strict=True):
        left, top = max(int(np.floor(x0)) - 1, 0), max(int(np.floor(y0)) - 1, 0)
        right, bottom = min(int(np.ceil(x1)) + 1, width), min(int(np.ceil(y1)) + 1, height)
        grid = np.empty((1, bottom - top, right - left, 2), np.float32)
        half, one, two = np.float32(0.5), np.float32(1), np.float32(2)
        grid[..., 0] = ((np.arange(left, right, dtype=np.float32) + half) - x0) / (x1 - x0) * two - one
        grid[..., 1] = (((np.arange(top, bottom, dtype=np.float32) + half) - y0) / (y1 - y0) * two - one)[
            :, None
        ]
        where = torch.from_numpy(grid).to(mask.device)
        soft = grid_sample(mask[None, None], where, align_corners=False)
        yield Region(top, left, soft[0, 0].cpu().numpy())


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
