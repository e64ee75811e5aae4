"""From a Detectron2 record to a model's input: augmented for training, resized for evaluation."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from detectron2.data import detection_utils
from detectron2.data import transforms as T  # noqa: N812  # Detectron2's own alias
from detectron2.structures import Instances

from runners.detectron.augmentation.colour import colour
from runners.detectron.augmentation.copy_paste import Composition, Cutout, Donors, cut_out
from runners.detectron.augmentation.geometry import cuts, geometry
from runners.detectron.augmentation.randomness import place, seeded
from runners.detectron.augmentation.targets import Targets
from runners.detectron.data import IMAGES, DatasetDict, ImageArray, ImageCache

_KEPT = ("file_name", "image_id", "height", "width")
_PASTE, _DONOR = 1, 2  # seed words, so that what is pasted does not change how the image itself is augmented


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
        with seeded((0,)):  # the resize draws, even from one size: the caller's numbers must not move
            transform = self._resize.get_transform(image)
        sample: DatasetDict = {key: record[key] for key in _KEPT if key in record}
        sample["image"] = _tensor(_resized(transform, image))
        return sample


class TrainMapper:
    """Records to training samples, augmented by numbers that depend on (seed, position) alone.

    With the extra keys of INPUT at 0, bit for bit what Detectron2's DatasetMapper gives: crop, resize,
    flip. Rotation comes next, then instances of other images are pasted; brightness, contrast and saturation
    are of the whole. Images that hold an RLE, or on which something was pasted, get BitMasks, the others
    PolygonMasks, unless `INPUT.MASK_FORMAT` is bitmask; models take both in one batch. Coordinates that the
    JSON gives in whole pixels are moved exactly, where Detectron2 truncates them.

    Args:
        cfg: A Detectron2 config with masksweep's extra INPUT keys; INPUT and the pixel mean are read.
        seed: 0 to 2**32 - 1.
        images: Where decoded images are kept; the process's own cache by default.
        donors: Records from which instances are copied if `INPUT.COPY_PASTE` is above 0: part of what a
            sample depends on.

    Raises:
        ValueError: There is nothing to copy from.
    """

    def __init__(
        self,
        cfg: Any,
        *,
        seed: int,
        images: ImageCache = IMAGES,
        donors: Sequence[DatasetDict] = (),
    ) -> None:
        self._format: str = cfg.INPUT.FORMAT
        self._bitmasks: bool = cfg.INPUT.MASK_FORMAT == "bitmask"
        self._seed = seed
        self._images = images
        self._geometry, self._colour = T.AugmentationList(geometry(cfg)), T.AugmentationList(colour(cfg))
        self._cuts = cuts(cfg)
        self._targets: dict[int, Targets] = {}
        self._paste_share = float(cfg.INPUT.COPY_PASTE)
        self._donors = donors
        self._choice = Donors(donors, cfg.INPUT.COPY_PASTE_SMALL_BIAS) if self._paste_share else None

    def __call__(self, record: DatasetDict, position: int) -> DatasetDict:
        """Gives what TestMapper gives, of the augmented image, and `instances` without crowd regions.

        Args:
            record: A Detectron2 record; not changed.
            position: The sample's place in the training stream, 0 to 2**63 - 1.

        Returns:
            A dict with `image`, a (C, H, W) tensor, and `instances`: gt_boxes (XYXY), gt_classes, gt_masks,
            without those of which nothing is left to see. An image may be left without any instance.

        Raises:
            SizeMismatchError: The file has another size than the record says.
        """
        augmented = T.AugInput(self._decoded(record))
        with seeded(place(self._seed, position)):
            transforms = self._geometry(augmented)
            pasted = self._pasted(augmented.image, position)
            if pasted is not None:
                augmented.image = pasted.image
            self._colour(augmented)
        targets = self._targets_of(record)
        instances: Instances = targets.transformed(
            transforms,
            augmented.image.shape[:2],
            bitmasks=self._bitmasks or targets.has_rle or pasted is not None,
            cut=self._cuts,
        )
        if pasted is not None:
            instances = pasted.instances(instances)
        sample: DatasetDict = {key: record[key] for key in _KEPT if key in record}
        sample["image"] = _tensor(augmented.image)
        sample["instances"] = detection_utils.filter_empty_instances(instances)
        return sample

    def _decoded(self, record: DatasetDict) -> ImageArray:
        image = self._images.get(record["file_name"], self._format)
        detection_utils.check_image_size(record, image)
        return image

    def _pasted(self, image: ImageArray, position: int) -> Composition | None:
        """The image with instances of another one on it, or None if nothing is pasted."""
        if self._choice is None:
            return None
        random = np.random.RandomState([*place(self._seed, position), _PASTE])
        if random.random_sample() >= self._paste_share:
            return None
        composition = Composition.on(image)
        donation = self._choice.draw(random)
        for cutout in self._cutouts(self._donors[donation.record], donation.instances, position):
            composition.paste(cutout, random)
        return composition if composition.masks else None

    def _cutouts(self, record: DatasetDict, chosen: Sequence[int], position: int) -> list[Cutout]:
        """Instances of a record whose image is augmented as any other."""
        donor = T.AugInput(self._decoded(record))
        with seeded((*place(self._seed, position), _DONOR)):
            transforms = self._geometry(donor)
        targets = self._targets_of(record)
        planes = targets.planes(transforms, donor.image.shape[:2], cut=self._cuts, chosen=chosen)
        return list(cut_out(donor.image, planes, targets.classes[list(chosen)].tolist()))

    def _targets_of(self, record: DatasetDict) -> Targets:
        # Keyed by identity; as the list is kept alive, no other one gets the same identity.
        annotations = record["annotations"]
        targets = self._targets.get(id(annotations))
        if targets is None:
            targets = self._targets[id(annotations)] = Targets.of(annotations)
        return targets


def _resized(transform: T.Transform, image: ImageArray) -> ImageArray:
    same = isinstance(transform, T.ResizeTransform) and (transform.new_h, transform.new_w) == image.shape[:2]
    return image if same else transform.apply_image(image)


def _tensor(image: ImageArray) -> torch.Tensor:
    """A (H, W, C) image as a (C, H, W) tensor that shares no memory with it."""
    return torch.from_numpy(np.array(image.transpose(2, 0, 1), order="C"))
