import contextlib
import io
import json
from pathlib import Path

import hotcoco.mask
import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from runners.evaluation.coco import average_precision, ground_truth, load_ground_truth
from runners.evaluation.predictions import Detections

HEIGHT, WIDTH = 120, 150
CATEGORIES = [{"id": 3, "name": "gear"}, {"id": 7, "name": "bracket"}, {"id": 40, "name": "washer"}]


def blob(rng: np.random.Generator) -> np.ndarray:
    """A filled ellipse of 4 to 110 px, so that all three area ranges occur."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    ry, rx = np.exp(rng.uniform(np.log(2), np.log(55), 2))
    return ((y - rng.uniform(0, HEIGHT)) / ry) ** 2 + ((x - rng.uniform(0, WIDTH)) / rx) ** 2 <= 1


def box_of(mask: np.ndarray) -> list[float]:
    ys, xs = np.nonzero(mask)
    if not len(ys):
        return [0.0, 0.0, 1.0, 1.0]
    return [float(xs.min()), float(ys.min()), float(xs.max() + 1), float(ys.max() + 1)]


def random_case(seed: int, images: int = 12) -> tuple[dict, list[Detections]]:
    """Ground truth with crowds and detections near it, among them ties, duplicates and empty images."""
    rng = np.random.default_rng(seed)
    annotations, detections = [], []
    for image_id in range(1, images + 1):
        masks, classes = [], []
        for _ in range(0 if image_id % 5 == 0 else int(rng.integers(1, 6))):
            mask, category = blob(rng), int(rng.integers(3))
            x0, y0, x1, y1 = box_of(mask)
            rle = hotcoco.mask.encode(np.asfortranarray(mask.astype(np.uint8)))
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": CATEGORIES[category]["id"],
                    "iscrowd": int(rng.random() < 0.15),
                    "area": float(mask.sum()),
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "segmentation": {"size": [HEIGHT, WIDTH], "counts": rle["counts"].decode()},
                }
            )
            for _ in range(int(rng.integers(0, 4))):
                masks.append(np.roll(mask, rng.integers(-6, 7, 2), axis=(0, 1)))
                classes.append(category if rng.random() < 0.8 else int(rng.integers(3)))
        masks += [blob(rng) for _ in range(int(rng.integers(0, 3)))]
        classes += [int(rng.integers(3)) for _ in range(len(masks) - len(classes))]
        scores = np.round(rng.random(len(masks)), 1).astype(np.float32)  # rounded: many ties
        detections.append(
            Detections(
                image_id=image_id,
                boxes=np.array([box_of(m) for m in masks], np.float32).reshape(-1, 4),
                scores=scores,
                classes=np.array(classes, np.int64),
                masks=[hotcoco.mask.encode(np.asfortranarray(m.astype(np.uint8))) for m in masks],
            )
        )
    document = {
        "images": [{"id": i, "height": HEIGHT, "width": WIDTH} for i in range(1, images + 1)],
        "annotations": annotations,
        "categories": CATEGORIES,
    }
    return document, detections


def reference(document: dict, detections: list[Detections], kind: str, limit: int) -> dict[str, float]:
    """The same numbers from pycocotools."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = json.loads(json.dumps(document))
        truth.createIndex()
        results = []
        for item in detections:
            for box, score, k, mask in zip(item.boxes, item.scores, item.classes, item.masks, strict=True):
                x0, y0, x1, y1 = box
                where = (
                    {"segmentation": mask}
                    if kind == "segm"
                    else {"bbox": [float(v) for v in (x0, y0, x1 - x0, y1 - y0)]}
                )
                results.append(
                    {
                        "image_id": item.image_id,
                        "category_id": CATEGORIES[k]["id"],
                        "score": float(score),
                        **where,
                    }
                )
        evaluation = COCOeval(truth, truth.loadRes(results), kind)
        evaluation.params.maxDets = [1, 10, limit]
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][..., -1]
    values = {
        "AP": precision[..., 0],
        "AP50": precision[0, ..., 0],
        "AP75": precision[5, ..., 0],
        "APs": precision[..., 1],
        "APm": precision[..., 2],
        "APl": precision[..., 3],
        **{f"AP-{c['name']}": precision[:, :, k, 0] for k, c in enumerate(CATEGORIES)},
    }
    return {
        f"{kind}/{name}": float(np.mean(array[array > -1]) * 100)
        for name, array in values.items()
        if (array > -1).any()
    }


@pytest.mark.parametrize("limit", [100, 11])
@pytest.mark.parametrize("seed", range(5))
def test_ap_equals_pycocotools_to_the_last_bit(seed, limit):
    """Crowds, ties, empty images and duplicates included, every number is the reference's."""
    document, detections = random_case(seed)
    expected = reference(document, detections, "segm", limit) | reference(document, detections, "bbox", limit)
    assert average_precision(ground_truth(document), detections, max_detections=limit) == expected


def test_a_model_that_finds_nothing_has_ap_0():
    """No detections at all is a measurement of 0, but for sizes that the ground truth lacks."""
    document, detections = random_case(0)
    document["annotations"] = [a for a in document["annotations"] if 32**2 <= a["area"] < 96**2]
    nothing = [
        Detections(
            d.image_id, np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), []
        )
        for d in detections
    ]
    metrics = average_precision(ground_truth(document), nothing)
    assert set(metrics.values()) == {0.0}
    assert {"segm/AP", "segm/APm", "bbox/AP"} <= set(metrics)
    assert not {"segm/APs", "segm/APl", "bbox/APs"} & set(metrics)


def test_without_masks_only_boxes_are_measured():
    """A model without a mask head has no segm metrics."""
    document, detections = random_case(1)
    boxes = [Detections(d.image_id, d.boxes, d.scores, d.classes, None) for d in detections]
    metrics = average_precision(ground_truth(document), boxes)
    assert {name.split("/")[0] for name in metrics} == {"bbox"}


def one(**fields) -> Detections:
    mask = hotcoco.mask.encode(np.asfortranarray(np.ones((HEIGHT, WIDTH), np.uint8)))
    values = {
        "image_id": 1,
        "boxes": np.array([[0, 0, 5, 5]], np.float32),
        "scores": np.array([0.5], np.float32),
        "classes": np.array([0]),
        "masks": [mask],
    }
    return Detections(**(values | fields))


@pytest.mark.parametrize(
    ("detection", "problem"),
    [
        (one(image_id=99), "no such image"),
        (one(scores=np.array([np.nan], np.float32)), "not finite"),
        (one(boxes=np.array([[0, 0, np.inf, 5]], np.float32)), "not finite"),
        (one(classes=np.array([3])), "classes must be 0 to 2"),
        (one(classes=np.array([-1])), "classes must be 0 to 2"),
        (one(masks=[{"size": [5, 5], "counts": b"i0"}]), "mask of 120 x 150 pixels"),
        (one(masks=[]), "mask of 120 x 150 pixels"),
    ],
)
def test_detections_that_would_be_miscounted_are_refused(detection, problem):
    """What hotcoco takes silently is an error here, with the image's id."""
    document, _ = random_case(0)
    with pytest.raises(ValueError, match=f"detections of image {detection.image_id}: .*{problem}"):
        average_precision(ground_truth(document), [detection])


def test_annotations_without_area_crowd_flag_or_usable_ids_count():
    """Areas come from the masks, nothing is a crowd unless it says so, and an annotation may have id 0."""
    document, detections = random_case(2)
    for annotation in document["annotations"]:
        annotation["iscrowd"] = 0
    expected = average_precision(ground_truth(document), detections)
    for number, annotation in enumerate(document["annotations"]):
        del annotation["iscrowd"], annotation["area"]
        annotation["id"] = number
    assert average_precision(ground_truth(document), detections) == expected


def test_ground_truth_is_read_once_while_its_file_is_the_same(tmp_path: Path):
    """A second evaluation indexes nothing; an edited file is read again."""
    path = tmp_path / "val.json"
    document, _ = random_case(0)
    path.write_text(json.dumps(document))
    first = load_ground_truth(path)
    assert load_ground_truth(path) is first
    document["annotations"].pop()
    path.write_text(json.dumps(document))
    assert load_ground_truth(path) is not first


def test_a_file_that_is_no_coco_is_told():
    """What is missing has its name in the message."""
    with pytest.raises(ValueError, match="no COCO annotations: KeyError 'categories'"):
        ground_truth({"images": [], "annotations": []})
