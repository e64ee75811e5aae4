"""Which detections are right: COCO's matching of masks with objects, at one IoU threshold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hotcoco import mask as rle
from numpy.typing import NDArray

from runners.evaluation.coco import GroundTruth
from runners.evaluation.detections import Detections

IOU_THRESHOLD = 0.5
"""Mask IoU from which a detection is right: COCO's "found at all"."""


@dataclass(frozen=True, slots=True)
class Objects:
    """The annotated objects of an image.

    Attributes:
        classes: (G,) contiguous class indices, from 0.
        crowd: (G,) whether it is a region of many objects (`iscrowd`).
        masks: G run-length encodings of the image's size.
    """

    classes: NDArray[np.int64]
    crowd: NDArray[np.bool_]
    masks: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Matches:
    """What the detections of an image were matched with.

    Attributes:
        objects: (N,) index of the object in `Objects`, -1 for none.
        ious: (N,) mask IoU with it, 0 for none; with a crowd the covered share of the detection.
    """

    objects: NDArray[np.int64]
    ious: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The detections of a data set that count: all but those that fall into a crowd.

    Attributes:
        iou_threshold: Mask IoU from which a detection is right.
        scores: (N,) 0 to 1, as the model gives them.
        classes: (N,) contiguous class indices.
        ious: (N,) mask IoU with the matched object, 0 for a wrong detection.
        right: (N,) whether it was matched with an object.
        objects: (C,) number of objects of each class, without crowds.
        images: (N,) which of the images it is a detection of, from 0.
        image_ids: (I,) in the annotations.
        image_objects: (I,) number of objects of each image, without crowds.
    """

    iou_threshold: float
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]
    ious: NDArray[np.float64]
    right: NDArray[np.bool_]
    objects: NDArray[np.int64]
    images: NDArray[np.int64]
    image_ids: tuple[int, ...]
    image_objects: NDArray[np.int64]


def objects_of(truth: GroundTruth, image_id: int) -> Objects:
    """The objects of one image, in the order of the annotations."""
    classes = {category: k for k, category in enumerate(truth.category_ids)}
    annotations = [
        annotation
        for annotation in truth.coco.load_anns(truth.coco.get_ann_ids(img_ids=[image_id]))
        if annotation["category_id"] in classes
    ]
    return Objects(
        np.array([classes[each["category_id"]] for each in annotations], np.int64),
        np.array([bool(each["iscrowd"]) for each in annotations], np.bool_),
        [truth.coco.ann_to_rle(each) for each in annotations],
    )


def match(objects: Objects, item: Detections, iou_threshold: float = IOU_THRESHOLD) -> Matches:
    """Matches the detections of an image as COCO does, without its limit of 100.

    The best score comes first. Each takes the free object of its class with the highest mask IoU, if that
    reaches the threshold; crowds, which are never used up, only if there is none.

    Args:
        objects: Of the same image.
        item: With masks.
        iou_threshold: 0 to 1.

    Raises:
        ValueError: The detections have no masks.

    Source: pycocotools' `COCOeval.evaluateImg`.
    """
    if item.masks is None:
        raise ValueError(f"detections of image {item.image_id}: got no masks, but needs one each")
    matched = np.full(len(item.scores), -1, np.int64)
    ious = np.zeros(len(item.scores))
    for category in np.intersect1d(item.classes, objects.classes):
        found = np.flatnonzero(item.classes == category)
        found = found[np.argsort(-item.scores[found], kind="stable")]
        wanted = np.flatnonzero(objects.classes == category)
        crowd = objects.crowd[wanted]
        ours: list[Any] = [item.masks[d] for d in found.tolist()]
        theirs: list[Any] = [objects.masks[g] for g in wanted.tolist()]
        overlaps = np.asarray(rle.iou(ours, theirs, crowd.astype(int).tolist()))  # (detections, objects)
        free = np.ones(len(wanted), np.bool_)
        for row in np.flatnonzero((overlaps >= iou_threshold).any(axis=1)):
            near = (overlaps[row] >= iou_threshold) & free
            candidates = np.flatnonzero(near & ~crowd)
            if not len(candidates):
                candidates = np.flatnonzero(near & crowd)
            if not len(candidates):
                continue
            column = candidates[::-1][np.argmax(overlaps[row, candidates[::-1]])]  # of equal ones the last
            free[column] = crowd[column]
            matched[found[row]], ious[found[row]] = wanted[column], overlaps[row, column]
    return Matches(matched, ious)


def outcomes(
    truth: GroundTruth, detections: Sequence[Detections], iou_threshold: float = IOU_THRESHOLD
) -> Outcomes:
    """Matches the detections of all images.

    Args:
        truth: The annotations. Objects of images that are not among the detections are not looked for.
        detections: One item an image, with masks.
        iou_threshold: 0 to 1.

    Raises:
        ValueError: Detections have no masks, a score that is not finite, or an image that is not in the
            annotations.
    """
    scores = [np.zeros(0, np.float32)]
    classes = [np.zeros(0, np.int64)]
    ious = [np.zeros(0)]
    rights = [np.zeros(0, np.bool_)]
    images = [np.zeros(0, np.int64)]
    counts = np.zeros(len(truth.category_ids), np.int64)
    image_objects = np.zeros(len(detections), np.int64)
    for place, item in enumerate(detections):
        if item.image_id not in truth.sizes:
            raise ValueError(f"detections of image {item.image_id}: no such image in the annotations")
        if not np.isfinite(item.scores).all():
            raise ValueError(f"detections of image {item.image_id}: a score is not finite")
        objects = objects_of(truth, item.image_id)
        counts += np.bincount(objects.classes[~objects.crowd], minlength=len(counts))
        image_objects[place] = np.count_nonzero(~objects.crowd)
        matches = match(objects, item, iou_threshold)
        right = matches.objects >= 0
        counted = np.ones(len(right), np.bool_)
        counted[right] = ~objects.crowd[matches.objects[right]]
        scores.append(item.scores[counted])
        classes.append(item.classes[counted])
        ious.append(matches.ious[counted])
        rights.append(right[counted])
        images.append(np.full(len(rights[-1]), place, np.int64))
    return Outcomes(
        iou_threshold,
        np.concatenate(scores),
        np.concatenate(classes),
        np.concatenate(ious),
        np.concatenate(rights),
        counts,
        np.concatenate(images),
        tuple(item.image_id for item in detections),
        image_objects,
    )
