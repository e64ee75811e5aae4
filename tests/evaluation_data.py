"""Random ground truth and detections, and what pycocotools says of them, for the evaluator's tests."""

import contextlib
import io
import json

import hotcoco.mask
import numpy as np
import pycocotools.mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from runners.evaluation.detections import Detections

HEIGHT, WIDTH = 120, 150
CATEGORIES = [{"id": 3, "name": "gear"}, {"id": 7, "name": "bracket"}, {"id": 40, "name": "washer"}]
UNUSED = {"id": 41, "name": "unused"}


def rle_of(mask: np.ndarray) -> dict:
    return hotcoco.mask.encode(np.asfortranarray(mask.astype(np.uint8)))


def blob(rng: np.random.Generator) -> np.ndarray:
    """A filled ellipse of 4 to 110 px, so that all area ranges occur."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    ry, rx = np.exp(rng.uniform(np.log(2), np.log(55), 2))
    return ((y - rng.uniform(0, HEIGHT)) / ry) ** 2 + ((x - rng.uniform(0, WIDTH)) / rx) ** 2 <= 1


def box_of(mask: np.ndarray) -> list[float]:
    """X0, y0, x1, y1 of what is not 0."""
    ys, xs = np.nonzero(mask)
    if not len(ys):
        return [0.0, 0.0, 1.0, 1.0]
    return [float(xs.min()), float(ys.min()), float(xs.max() + 1), float(ys.max() + 1)]


def annotation(number: int, image_id: int, category_id: int, mask: np.ndarray, iscrowd: int = 0) -> dict:
    x0, y0, x1, y1 = box_of(mask)
    return {
        "id": number,
        "image_id": image_id,
        "category_id": category_id,
        "iscrowd": iscrowd,
        "area": float(mask.sum()),
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "segmentation": {"size": list(mask.shape), "counts": rle_of(mask)["counts"].decode()},
    }


def detections_of(image_id: int, masks: list, scores, classes) -> Detections:
    return Detections(
        image_id=image_id,
        boxes=np.array([box_of(m) for m in masks], np.float32).reshape(-1, 4),
        scores=np.asarray(scores, np.float32),
        classes=np.array(classes, np.int64),
        masks=[rle_of(m) for m in masks],
    )


def random_case(seed: int, images: int = 12) -> tuple[dict, list[Detections]]:
    """Ground truth with crowds and detections near it, among them ties, duplicates and empty images."""
    rng = np.random.default_rng(seed)
    annotations, detections = [], []
    for image_id in range(1, images + 1):
        masks, classes = [], []
        for _ in range(0 if image_id % 5 == 0 else int(rng.integers(1, 6))):
            mask, category = blob(rng), int(rng.integers(3))
            crowd = int(rng.random() < 0.15)
            number = len(annotations) + 1
            annotations.append(annotation(number, image_id, CATEGORIES[category]["id"], mask, crowd))
            for _ in range(int(rng.integers(0, 4))):
                masks.append(np.roll(mask, rng.integers(-6, 7, 2), axis=(0, 1)))
                classes.append(category if rng.random() < 0.8 else int(rng.integers(3)))
        masks += [blob(rng) for _ in range(int(rng.integers(0, 3)))]
        classes += [int(rng.integers(3)) for _ in range(len(masks) - len(classes))]
        scores = np.round(rng.random(len(masks)), 1)  # rounded: many ties
        detections.append(detections_of(image_id, masks, scores, classes))
    document = {
        "images": [{"id": i, "height": HEIGHT, "width": WIDTH} for i in range(1, images + 1)],
        "annotations": annotations,
        "categories": [*CATEGORIES, UNUSED],
    }
    return document, detections


def results_of(detections: list[Detections], kind: str) -> list[dict]:
    """COCO results: masks without boxes, or boxes without masks."""
    results = []
    for item in detections:
        for box, score, k, mask in zip(item.boxes, item.scores, item.classes, item.masks, strict=True):
            x0, y0, x1, y1 = box
            where = (
                {"bbox": [float(v) for v in (x0, y0, x1 - x0, y1 - y0)]}
                if kind == "bbox"
                else {"segmentation": mask}
            )
            results.append(
                {
                    "image_id": item.image_id,
                    "category_id": CATEGORIES[k]["id"],
                    "score": float(score),
                    **where,
                }
            )
    return results


class BoundaryCOCOeval(COCOeval):
    """pycocotools with the smaller of mask IoU and boundary IoU, as the paper's own code has it.

    Cheng et al., https://arxiv.org/abs/2103.16562: a boundary is what eroding a mask takes away, 2% of the
    image's diagonal wide; beyond the image's edge there is no object. Crowd regions have no boundary of their
    own: for them the masks alone count.
    """

    def computeIoU(self, img_id, cat_id):
        masks = super().computeIoU(img_id, cat_id)
        if not len(masks):
            return masks
        gt, dt = self._gts[img_id, cat_id], self._dts[img_id, cat_id]
        dt = [dt[i] for i in np.argsort([-d["score"] for d in dt], kind="mergesort")]
        dt = dt[: self.params.maxDets[-1]]
        crowds = [int(g["iscrowd"]) for g in gt]
        edges = pycocotools.mask.iou(
            [boundary(d["segmentation"]) for d in dt], [boundary(g["segmentation"]) for g in gt], crowds
        )
        return np.where(np.array(crowds, bool), masks, np.minimum(masks, edges)) if crowds else masks


def boundary(code: dict) -> dict:
    mask = pycocotools.mask.decode(code).astype(bool)
    height, width = mask.shape
    steps = max(1, round(0.02 * np.sqrt(height**2 + width**2)))
    inner = np.pad(mask, 1)
    for _ in range(steps):
        inner[1:-1, 1:-1] = np.all(
            [inner[i : i + height, j : j + width] for i in range(3) for j in range(3)], axis=0
        )
    return pycocotools.mask.encode(np.asfortranarray((mask & ~inner[1:-1, 1:-1]).astype(np.uint8)))


def peer_evaluation(document: dict, results: list[dict], kind: str, limits: list[int], areas=None) -> dict:
    """`precision`, `recall` and `scores` of pycocotools; `areas` in px² by name in the place of COCO's."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = json.loads(json.dumps(document))
        truth.createIndex()
        loaded = truth.loadRes(json_safe(results)) if results else truth.loadRes(np.zeros((0, 7)))
        peer = BoundaryCOCOeval if kind == "boundary" else COCOeval
        evaluation = peer(truth, loaded, "segm" if kind == "boundary" else kind)
        evaluation.params.maxDets = limits
        if areas is not None:
            evaluation.params.areaRng = [list(bounds) for bounds in areas.values()]
            evaluation.params.areaRngLbl = list(areas)
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation.eval


def json_safe(results: list[dict]) -> list[dict]:
    """Copies: pycocotools writes into what it is given."""
    return [dict(result) for result in results]


def peer_summary(document: dict, detections: list[Detections], kind: str, limit: int) -> dict[str, float]:
    """The metrics under our names, from pycocotools' arrays."""
    limits = sorted({limit, *(k for k in (1, 10, 100) if k < limit)})
    arrays = peer_evaluation(document, results_of(detections, kind), kind, limits)
    precision, recall = arrays["precision"][..., -1], arrays["recall"]
    names = [category["name"] for category in document["categories"]]
    values = {
        "AP": precision[..., 0],
        "AP50": precision[0, ..., 0],
        "AP75": precision[5, ..., 0],
        **{f"AP{letter}": precision[..., area] for area, letter in enumerate("sml", 1)},
        **{f"AP-{name}": precision[:, :, k, 0] for k, name in enumerate(names)},
        **{f"AR{k}": recall[:, :, 0, limits.index(k)] for k in (1, 10, 100) if k in limits},
        **{f"AR{letter}": recall[:, :, area, -1] for area, letter in enumerate("sml", 1)},
    }
    return {
        f"{kind}/{name}": float(np.mean(array[array > -1]) * 100)
        for name, array in values.items()
        if (array > -1).any()
    }
