"""A validation set's annotations, indexed once a process, with what repeated evaluations share."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from hotcoco import COCO
from hotcoco import mask as rle
from numpy.typing import NDArray
from vernier.instance import CocoDataset

from runners.evaluation.merges import TouchingPair, touching_pairs
from runners.evaluation.neighbours import Overlaps, overlaps_of
from runners.regular_files import read_text


@dataclass(frozen=True, slots=True)
class Instance:
    """One annotation, with its mask in one form.

    Attributes:
        image_id: In the file.
        box: x, y, width, height in px, as the file has it.
        area: In px², as the file has it, else that of the mask.
        is_crowd: Whether it is a region of many objects.
        mask: Compressed RLE of its image's size, or None if the file has boxes alone.
    """

    image_id: int
    box: tuple[float, float, float, float]
    area: float
    is_crowd: bool
    mask: dict[str, Any] | None


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """A validation set's annotations.

    What only some evaluations need is computed when it is first asked for, and kept.

    Attributes:
        document: COCO JSON, with masks as compressed RLE. Ids of annotations are our own, from 1: COCO's
            matching takes id 0 for "unmatched".
        sizes: (height, width) by image id.
        category_ids: Ids in the file, in the order of the models' contiguous classes.
        names: Category names, in the same order.
    """

    document: Mapping[str, Any]
    sizes: Mapping[int, tuple[int, int]]
    category_ids: tuple[int, ...]
    names: tuple[str, ...]

    @cached_property
    def coco(self) -> COCO:
        """The annotations, indexed for hotcoco."""
        return COCO(dict(self.document))

    @cached_property
    def dataset(self) -> CocoDataset:
        """The annotations, indexed for vernier, which keeps their masks and boundaries."""
        return CocoDataset.from_json(json.dumps(self.document).encode())

    @cached_property
    def instances(self) -> Sequence[Instance]:
        """All annotations, in the order of the file."""
        return [_instance(annotation) for annotation in self.document["annotations"]]

    @cached_property
    def areas(self) -> NDArray[np.float64]:
        """Areas in px² of what is no crowd region."""
        return np.array([one.area for one in self.instances if not one.is_crowd], np.float64)

    @cached_property
    def by_image(self) -> Mapping[int, Sequence[int]]:
        """Image id -> indices of its instances that are no crowd regions; images without any are left out."""
        indices: dict[int, list[int]] = {}
        for index, instance in enumerate(self.instances):
            if not instance.is_crowd:
                indices.setdefault(instance.image_id, []).append(index)
        return indices

    @cached_property
    def overlaps(self) -> Overlaps:
        """Which instances are crowded or occluded."""
        return overlaps_of(self.instances, self.by_image)

    @cached_property
    def overlap_coco(self) -> COCO:
        """The annotations with areas that say what is crowded and what is occluded; see `neighbours`."""
        areas = self.overlaps.coded_areas()
        annotations = [
            {**annotation, "area": area}
            for annotation, area in zip(self.document["annotations"], areas, strict=True)
        ]
        return COCO({**self.document, "annotations": annotations})

    @cached_property
    def touching(self) -> Mapping[int, Sequence[TouchingPair]]:
        """Image id -> pairs of instances that touch; images without any are left out."""
        return touching_pairs(self.instances, self.by_image)


def load_ground_truth(annotations: Path) -> GroundTruth:
    """Reads COCO JSON, or returns what was read before if the file has not changed.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is no COCO JSON.
    """
    stat = annotations.stat()
    return _load(annotations, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=4)
def _load(path: Path, _mtime_ns: int, _size: int) -> GroundTruth:
    return ground_truth(json.loads(read_text(path)))


def ground_truth(document: Mapping[str, Any], *, masks: bool = True) -> GroundTruth:
    """Indexes a COCO document; `iscrowd` defaults to 0, and `area` to that of the mask, or else of the box.

    Args:
        document: COCO JSON, audited: of masks only the form is looked at here.
        masks: Whether masks are kept; without them only boxes can be evaluated.

    Raises:
        ValueError: It has no images, annotations or categories.
    """
    try:
        sizes = {image["id"]: (image["height"], image["width"]) for image in document["images"]}
        categories = sorted((category["id"], category["name"]) for category in document["categories"])
        annotations = [
            _uniform(annotation, number, sizes[annotation["image_id"]], masks)
            for number, annotation in enumerate(document["annotations"], start=1)
        ]
    except (KeyError, TypeError) as error:
        raise ValueError(f"no COCO annotations: {type(error).__name__} {error}") from error
    return GroundTruth(
        {**document, "annotations": annotations},
        sizes,
        tuple(category_id for category_id, _ in categories),
        tuple(name for _, name in categories),
    )


def compressed(segmentation: Any, height: int, width: int) -> dict[str, Any]:
    """A COCO segmentation, polygons or RLE of either kind, as compressed RLE."""
    if isinstance(segmentation, list):
        merged: dict[str, Any] = rle.merge(rle.fr_py_objects(segmentation, height, width))
        return merged
    code = {"size": [height, width], "counts": segmentation["counts"]}  # a size of 6.0 is 6
    if isinstance(code["counts"], list):
        single: dict[str, Any] = rle.fr_py_objects(code, height, width)
        return single
    return code


def _uniform(
    annotation: Mapping[str, Any], number: int, size: tuple[int, int], masks: bool
) -> dict[str, Any]:
    """An annotation with all that the evaluators read, and nothing else: a process keeps it."""
    uniform = {
        "id": number,
        "image_id": annotation["image_id"],
        "category_id": annotation["category_id"],
        "iscrowd": annotation.get("iscrowd", 0),
    }
    if masks and annotation.get("segmentation"):
        code = compressed(annotation["segmentation"], *size)
        counts = code["counts"]
        text = (
            counts.decode() if isinstance(counts, bytes) else counts
        )  # vernier reads JSON, which has no bytes
        uniform["segmentation"] = {"size": list(size), "counts": text}
    segmentation = uniform.get("segmentation")
    box = annotation.get("bbox") or (rle.to_bbox(segmentation).tolist() if segmentation else [0.0] * 4)
    area = annotation.get("area")
    if area is None:
        area = float(rle.area(segmentation)) if segmentation else float(box[2] * box[3])
    return {**uniform, "bbox": box, "area": area}


def _instance(annotation: Mapping[str, Any]) -> Instance:
    return Instance(
        annotation["image_id"],
        tuple(annotation["bbox"]),
        annotation["area"],
        bool(annotation["iscrowd"]),
        annotation.get("segmentation"),
    )
