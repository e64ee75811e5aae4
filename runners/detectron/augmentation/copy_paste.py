"""Copy-paste: instances of one training image, cut out along their masks, laid upon another.

Source: Simple Copy-Paste is a Strong Data Augmentation Method for Instance Segmentation, arXiv:2012.07177, of
which the plain composition without blurred edges is taken. Here each instance gets a place of its own, as in
Augmentation for small object detection, arXiv:1902.07296: images need not have the same size then.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from detectron2.structures import BitMasks, Instances

from runners.detectron.augmentation.targets import Plane, learnt_from
from runners.detectron.data import DatasetDict, ImageArray


@dataclass(frozen=True, slots=True)
class Cutout:
    """One instance, cut out.

    Attributes:
        pixels: (h, w, C), what its box shows.
        mask: (h, w), what of that belongs to it; it touches all four sides.
        category: Its contiguous class.
    """

    pixels: ImageArray
    mask: Plane
    category: int


@dataclass(frozen=True, slots=True)
class Donation:
    """Which instances are to be pasted.

    Attributes:
        record: Index of the image that they come from.
        instances: Their places among that image's annotations that are learnt from, no two the same.
    """

    record: int
    instances: tuple[int, ...]


class Donors:
    """Chooses what is pasted.

    An instance's weight is (box area) ^ -small_bias, an image's the mean of its instances'. From an image
    drawn by weight comes a number of instances from 1 to all, drawn by weight.

    Args:
        records: Detectron2 records; those without an instance give nothing.
        small_bias: 0 for no preference, up to 1, which weighs a part of half the side four times.

    Raises:
        ValueError: No record has an instance.
    """

    def __init__(self, records: Sequence[DatasetDict], small_bias: float) -> None:
        self._weights = {
            index: np.maximum(areas, 1.0) ** -small_bias
            for index, record in enumerate(records)
            if len(areas := _box_areas(record))
        }
        if not self._weights:
            raise ValueError("no image with an annotation to copy from")
        self._images = np.fromiter(self._weights, dtype=np.int64)
        shares = np.cumsum([weights.mean() for weights in self._weights.values()])
        self._shares: npt.NDArray[np.float64] = shares / shares[-1]

    def draw(self, random: np.random.RandomState) -> Donation:
        """The next donation."""
        record = int(self._images[np.searchsorted(self._shares, random.random_sample(), side="right")])
        weights = self._weights[record]
        count = random.randint(1, len(weights) + 1)
        chosen = random.choice(len(weights), size=count, replace=False, p=weights / weights.sum())
        return Donation(record, tuple(chosen.tolist()))


def _box_areas(record: DatasetDict) -> npt.NDArray[np.float64]:
    """Of what is learnt from. COCO's boxes are x, y, width, height."""
    boxes = [item["bbox"] for item in learnt_from(record["annotations"])]
    return np.asarray([box[2] * box[3] for box in boxes], dtype=np.float64)


def cut_out(image: ImageArray, planes: Iterator[Plane], classes: Sequence[int]) -> Iterator[Cutout]:
    """Cuts instances out of a (H, W, C) image; those of which it shows nothing are left out."""
    for plane, category in zip(planes, classes, strict=True):
        rows, columns = np.flatnonzero(plane.any(axis=1)), np.flatnonzero(plane.any(axis=0))
        if len(rows):
            box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
            yield Cutout(image[box], plane[box], int(category))


@dataclass(slots=True)
class Composition:
    """An image with what was pasted on it.

    Attributes:
        image: (H, W, C); changed by `paste`.
        masks: What is visible of each pasted instance, (H, W) each.
        classes: Their contiguous classes.
    """

    image: ImageArray
    masks: list[Plane]
    classes: list[int]

    @staticmethod
    def on(image: ImageArray) -> "Composition":
        """Begins with a copy of a (H, W, C) image."""
        return Composition(image.copy(), [], [])

    def paste(self, cutout: Cutout, random: np.random.RandomState) -> None:
        """Lays an instance on top, at a random place where all of it fits; if none does, a part of it."""
        inside, taken = [], []
        for room, side in zip(self.image.shape[:2], cutout.mask.shape, strict=True):
            low, high = sorted((0, room - side))
            start = int(random.randint(low, high + 1))
            inside.append(slice(max(0, start), min(room, start + side)))
            taken.append(slice(max(0, -start), min(room, start + side) - start))
        there, part = tuple(inside), tuple(taken)
        mask = cutout.mask[part]
        if not mask.any():
            return
        self.image[there][mask] = cutout.pixels[part][mask]
        for below in self.masks:
            below[there][mask] = False
        plane = np.zeros(self.image.shape[:2], dtype=bool)
        plane[there] = mask
        self.masks.append(plane)
        self.classes.append(cutout.category)

    def instances(self, beneath: Instances) -> Instances:
        """All instances of the image, with what is visible of each; those wholly covered are left out.

        Args:
            beneath: Those of the image before, with BitMasks.
        """
        pasted = torch.from_numpy(np.stack(self.masks))
        planes = torch.cat([beneath.gt_masks.tensor & ~pasted.any(dim=0), pasted])
        masks = BitMasks(planes)
        everything = Instances(beneath.image_size)
        everything.gt_boxes = masks.get_bounding_boxes()
        everything.gt_classes = torch.cat([beneath.gt_classes, torch.tensor(self.classes)])
        everything.gt_masks = masks
        return everything[planes.flatten(1).any(dim=1)]
