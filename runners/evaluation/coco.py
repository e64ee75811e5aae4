"""COCO average precision of masks and boxes."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from hotcoco import COCO, COCOeval
from hotcoco import mask as rle
from numpy.typing import NDArray

from runners.evaluation.predictions import Detections

KINDS = ("segm", "bbox")
MAX_DETECTIONS = 100  # an image; COCO's convention
_AREAS = {"AP": "all", "APs": "small", "APm": "medium", "APl": "large"}
_IOUS = {"AP50": 0.5, "AP75": 0.75}


@dataclass(frozen=True, slots=True)
class GroundTruth:
    """A validation set's annotations, indexed once a process.

    Attributes:
        coco: The indexed annotations. Ids of annotations are our own: COCO's matching takes id 0 for
            "unmatched".
        sizes: (height, width) by image id.
        category_ids: Ids in the file, in the order of the models' contiguous classes.
        names: Category names, in the same order.
    """

    coco: COCO
    sizes: Mapping[int, tuple[int, int]]
    category_ids: tuple[int, ...]
    names: tuple[str, ...]


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
    return ground_truth(json.loads(path.read_text(encoding="utf-8")))


def ground_truth(document: Mapping[str, Any]) -> GroundTruth:
    """Indexes a COCO document; `iscrowd` defaults to 0 and `area` to that of the mask.

    Raises:
        ValueError: It has no images, annotations or categories.
    """
    try:
        sizes = {image["id"]: (image["height"], image["width"]) for image in document["images"]}
        categories = sorted((category["id"], category["name"]) for category in document["categories"])
        annotations = [
            {
                **annotation,
                "id": number,
                "iscrowd": annotation.get("iscrowd", 0),
                "area": annotation["area"] if "area" in annotation else _area(annotation, sizes),
            }
            for number, annotation in enumerate(document["annotations"], start=1)
        ]
    except (KeyError, TypeError) as error:
        raise ValueError(f"no COCO annotations: {type(error).__name__} {error}") from error
    coco = COCO({**document, "annotations": annotations})
    return GroundTruth(coco, sizes, tuple(i for i, _ in categories), tuple(name for _, name in categories))


def average_precision(
    truth: GroundTruth, detections: Sequence[Detections], *, max_detections: int = MAX_DETECTIONS
) -> dict[str, float]:
    """AP in percent: `segm/AP`, AP50, AP75, APs, APm, APl, `segm/AP-<category>`, and the same for `bbox`.

    What has no ground truth to be measured on (APs without a small object) is absent, where pycocotools says
    -1. A model that finds nothing has AP 0. Masks are left out if the detections have none.

    Args:
        truth: The annotations.
        detections: One item an image.
        max_detections: An image's best detections that count, at least 1.

    Raises:
        ValueError: A detection has a score or box that is not finite, an unknown image or class, or a mask of
            another size than its image: hotcoco would count it silently.

    Source: https://cocodataset.org/#detection-eval; equal to pycocotools' COCOeval bit by bit.
    """
    for item in detections:
        _check(truth, item)
    metrics: dict[str, float] = {}
    for kind in KINDS:
        if kind == "segm" and any(item.masks is None for item in detections):
            continue
        results = list(_results(truth, detections, kind))
        evaluation = COCOeval(truth.coco, truth.coco.load_res(results), kind)
        evaluation.params.cat_ids = list(truth.category_ids)
        evaluation.params.max_dets = sorted({1, 10, max(max_detections, 1)})
        evaluation.evaluate()
        evaluation.accumulate()
        metrics.update((f"{kind}/{name}", value) for name, value in _summary(truth, evaluation))
    return metrics


def _summary(truth: GroundTruth, evaluation: COCOeval) -> Iterator[tuple[str, float]]:
    """The measurable ones of COCO's summary, in percent."""
    # (IoU thresholds, recalls, categories, areas, limits of detections); -1 where there is no ground truth
    accumulated: Any = evaluation.eval
    precision: NDArray[np.float64] = np.asarray(accumulated["precision"])[..., -1]
    areas = list(evaluation.params.area_rng_lbl)
    ious = np.asarray(evaluation.params.iou_thrs)
    named = [(name, precision[..., areas.index(area)]) for name, area in _AREAS.items()]
    named += [
        (name, precision[np.isclose(ious, iou), :, :, areas.index("all")]) for name, iou in _IOUS.items()
    ]
    named += [(f"AP-{name}", precision[:, :, k, areas.index("all")]) for k, name in enumerate(truth.names)]
    for name, values in named:
        measured = values[values > -1]
        if measured.size:
            yield name, float(np.mean(measured) * 100)


def _results(truth: GroundTruth, detections: Sequence[Detections], kind: str) -> Iterator[dict[str, Any]]:
    """COCO results. A mask's has no box: with one, its area would be the box's, and APs, APm, APl change."""
    for item in detections:
        categories = [truth.category_ids[k] for k in item.classes.tolist()]
        scores = item.scores.tolist()
        if kind == "segm":
            for category, score, mask in zip(categories, scores, item.masks or (), strict=True):
                yield {
                    "image_id": item.image_id,
                    "category_id": category,
                    "score": score,
                    "segmentation": mask,
                }
        else:
            corners = item.boxes
            boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1).tolist()
            for category, score, box in zip(categories, scores, boxes, strict=True):
                yield {"image_id": item.image_id, "category_id": category, "score": score, "bbox": box}


def _check(truth: GroundTruth, item: Detections) -> None:
    where = f"detections of image {item.image_id}"
    if item.image_id not in truth.sizes:
        raise ValueError(f"{where}: no such image in the annotations")
    count = len(item.scores)
    if item.boxes.shape != (count, 4) or item.classes.shape != (count,):
        raise ValueError(
            f"{where}: {count} scores, but boxes {item.boxes.shape} and classes {item.classes.shape}"
        )
    if not (np.isfinite(item.scores).all() and np.isfinite(item.boxes).all()):
        raise ValueError(f"{where}: a score or box is not finite")
    if count and not 0 <= item.classes.min() <= item.classes.max() < len(truth.category_ids):
        raise ValueError(f"{where}: classes must be 0 to {len(truth.category_ids) - 1}")
    if item.masks is None:
        return
    size = truth.sizes[item.image_id]
    if len(item.masks) != count or any(tuple(mask["size"]) != size for mask in item.masks):
        raise ValueError(f"{where}: every detection must have a mask of {size[0]} x {size[1]} pixels")


def _area(annotation: Mapping[str, Any], sizes: Mapping[int, tuple[int, int]]) -> float:
    height, width = sizes[annotation["image_id"]]
    segmentation = annotation["segmentation"]
    if isinstance(segmentation, list):
        return float(rle.area(rle.merge(rle.fr_py_objects(segmentation, height, width))))
    if isinstance(segmentation["counts"], list):
        segmentation = rle.fr_py_objects(segmentation, height, width)
    return float(rle.area(segmentation))
