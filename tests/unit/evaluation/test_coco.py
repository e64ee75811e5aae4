import json
from pathlib import Path

import hotcoco.mask
import numpy as np
import pytest

from runners.evaluation.coco import ground_truth, load_ground_truth
from runners.evaluation.detections import Detections
from runners.evaluation.metrics import evaluate_detections
from tests.evaluation_data import HEIGHT, WIDTH, random_case


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
    metrics = evaluate_detections(ground_truth(document), nothing)
    assert {value for name, value in metrics.items() if not name.startswith("count/")} == {0.0}
    assert {"segm/AP", "segm/APm", "bbox/AP", "segm/AR100", "boundary/AP"} <= set(metrics)
    assert not {"segm/APs", "segm/APl", "bbox/APs", "segm/ARs", "boundary/APl"} & set(metrics)


def test_without_masks_only_boxes_are_measured():
    """A model without a mask head has no segm metrics."""
    document, detections = random_case(1)
    boxes = [Detections(d.image_id, d.boxes, d.scores, d.classes, None) for d in detections]
    metrics = evaluate_detections(ground_truth(document), boxes)
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
        (one(classes=np.array([4])), "classes must be 0 to 3"),
        (one(classes=np.array([-1])), "classes must be 0 to 3"),
        (one(masks=[{"size": [5, 5], "counts": b"i0"}]), "got a mask of 5 x 5 pixels, but needs 120 x 150"),
        (one(masks=[]), "1 scores, but 0 masks"),
        (one(masks=[{"size": [HEIGHT, WIDTH], "counts": b"i0"}]), "got RLE counts for 25 of 18000 pixels"),
        (one(masks=[{"size": [HEIGHT, WIDTH], "counts": b"`b"}]), "got RLE counts that are not run lengths"),
        (one(masks=[{"size": [HEIGHT, WIDTH], "counts": b""}]), "got RLE counts that are empty"),
    ],
)
def test_detections_that_would_be_miscounted_are_refused(detection, problem):
    """What hotcoco takes silently is an error here, with the image's id."""
    document, _ = random_case(0)
    with pytest.raises(ValueError, match=f"detections of image {detection.image_id}: .*{problem}"):
        evaluate_detections(ground_truth(document), [detection])


def test_an_image_that_is_there_twice_is_refused():
    """Its detections would count twice where the matching takes one item an image."""
    document, _ = random_case(0)
    with pytest.raises(ValueError, match="detections of image 1: the image is there twice"):
        evaluate_detections(ground_truth(document), [one(), one()])


def test_annotations_without_area_crowd_flag_or_usable_ids_count():
    """Areas come from the masks, nothing is a crowd unless it says so, and an annotation may have id 0."""
    document, detections = random_case(2)
    for annotation in document["annotations"]:
        annotation["iscrowd"] = 0
    expected = evaluate_detections(ground_truth(document), detections)
    for number, annotation in enumerate(document["annotations"]):
        del annotation["iscrowd"], annotation["area"]
        annotation["id"] = number
    assert evaluate_detections(ground_truth(document), detections) == expected


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
