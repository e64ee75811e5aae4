"""Files of predictions: what is read, and the exact words for what cannot be."""

import json
from pathlib import Path
from typing import Any

import pytest

from runners.evaluation.evaluate_file import evaluate_file
from sweeps.core.errors import SpecInvalid
from tests.evaluation_data import peer_summary, random_case, results_of

SIZE = [6, 8]
SQUARE = {"size": SIZE, "counts": [13, 2, 4, 2, 27]}
COMPRESSED = {"size": SIZE, "counts": "=240g0"}
POLYGON = [[2, 1, 4, 1, 4, 3, 2, 3]]


def truth() -> dict[str, Any]:
    """One image of 6 x 8 px with a square of 2 px."""
    square = {"segmentation": SQUARE, "bbox": [2, 1, 2, 2], "area": 4, "iscrowd": 0}
    return {
        "images": [{"id": 1, "height": 6, "width": 8}],
        "annotations": [{"id": 5, "image_id": 1, "category_id": 2, **square}],
        "categories": [{"id": 2, "name": "bolt"}, {"id": 3, "name": "nut"}],
    }


def record(**fields: Any) -> dict[str, Any]:
    return {"image_id": 1, "category_id": 2, "score": 0.5, **fields}


def evaluate(directory: Path, predictions: Any, kind: Any = "segm", annotations: Any = None):
    gt, dt = directory / "gt.json", directory / "dt.json"
    gt.write_text(json.dumps(truth() if annotations is None else annotations))
    dt.write_text(predictions if isinstance(predictions, str) else json.dumps(predictions))
    return evaluate_file(gt, dt, kind)


def problems(directory: Path, *arguments: Any, **named: Any) -> list[str]:
    with pytest.raises(SpecInvalid) as caught:
        evaluate(directory, *arguments, **named)
    return [str(issue).replace(str(directory), "DIR") for issue in caught.value.issues]


@pytest.mark.parametrize("kind", ["segm", "bbox", "boundary"])
@pytest.mark.parametrize("seed", range(3))
def test_a_file_gives_what_pycocotools_gives(tmp_path, seed, kind):
    """Numbers equal the reference's to the last bit, though every record has a box and a mask."""
    document, detections = random_case(seed)
    both = [
        {
            **mask,
            **box,
            "segmentation": {**mask["segmentation"], "counts": mask["segmentation"]["counts"].decode()},
        }
        for mask, box in zip(results_of(detections, "segm"), results_of(detections, "bbox"), strict=True)
    ]
    metrics = evaluate(tmp_path, both, kind, document).metrics
    expected = peer_summary(document, detections, kind, 100)
    assert {name: metrics.get(name) for name in expected} == expected
    assert {name for name in metrics if name.startswith(f"{kind}/") and "AP_" not in name} == set(expected)


@pytest.mark.parametrize("kind", ["segm", "bbox", "boundary"])
@pytest.mark.parametrize(
    "mask",
    [SQUARE, COMPRESSED, POLYGON, {**COMPRESSED, "size": [6.0, 8.0]}],
    ids=["runs", "compressed", "polygon", "a size with points"],
)
def test_every_form_of_a_mask_is_the_same_mask(tmp_path, mask, kind):
    """Uncompressed, compressed, polygons; the box that is not there is that of the mask."""
    evaluation = evaluate(tmp_path, [record(segmentation=mask)], kind)
    assert evaluation.metrics[f"{kind}/AP"] == pytest.approx(100)
    assert f"{kind}/AP-nut" not in evaluation.metrics
    assert (evaluation.images, evaluation.instances, evaluation.detections) == (1, 1, 1)


def test_boxes_alone_are_enough_for_boxes(tmp_path):
    """Neither side needs a mask, nor an area, where boxes are compared; a broken mask is not looked at."""
    annotations = truth()
    del annotations["annotations"][0]["segmentation"], annotations["annotations"][0]["area"]
    predictions = [record(bbox=[2, 1, 2, 2], segmentation={"size": [1, 1], "counts": "x"})]
    evaluation = evaluate(tmp_path, predictions, "bbox", annotations)
    assert evaluation.metrics["bbox/AP"] == pytest.approx(100)


def test_no_predictions_have_ap_0(tmp_path):
    """An empty list is a model that finds nothing; so is a list of empty masks."""
    assert evaluate(tmp_path, []).metrics["segm/AP"] == 0
    empty = {"size": SIZE, "counts": [48]}
    assert evaluate(tmp_path, [record(segmentation=empty)]).metrics["segm/AP"] == 0


WRONG: dict[str, tuple[Any, str]] = {
    "an unknown image": (
        record(image_id=7, segmentation=SQUARE),
        "image_id 7, category_id 2, score 0.5: no image of the annotations has this image_id",
    ),
    "an unknown category": (
        record(category_id=9, segmentation=SQUARE),
        "image_id 1, category_id 9, score 0.5: no category of the annotations has this category_id",
    ),
    "no score": (
        {"image_id": 1, "category_id": 2, "segmentation": SQUARE},
        "image_id 1, category_id 2: score is missing",
    ),
    "NaN": (
        record(score=float("nan"), segmentation=SQUARE),
        "image_id 1, category_id 2, score NaN: score must be a finite number",
    ),
    "infinity": (
        record(score=float("-inf"), segmentation=SQUARE),
        "image_id 1, category_id 2, score -Infinity: score must be a finite number",
    ),
    "a score beyond all floats": (
        record(score=10**400, segmentation=[[1, 1, 10**400, 1, 3, 3]]),
        "image_id 1, category_id 2, score a whole number of more than 60 digits: score must be a finite"
        " number; got a polygon with a coordinate that is not a finite number",
    ),
    "a score in words": (
        record(score="high", segmentation=SQUARE),
        "image_id 1, category_id 2, score high: score must be a finite number",
    ),
    "several at once": (
        {"image_id": "1", "score": None},
        "image_id 1, score null: no image of the annotations has this image_id; no category of the"
        " annotations has this category_id; score must be a finite number; segmentation is missing",
    ),
    "no mask": (record(bbox=[2, 1, 2, 2]), "image_id 1, category_id 2, score 0.5: segmentation is missing"),
    "another size": (
        record(segmentation={"size": [8, 6], "counts": "=240g0"}),
        "image_id 1, category_id 2, score 0.5: got RLE size [8, 6] for an image of height 6 and width 8:"
        " size is height, width",
    ),
    "another size, uncompressed": (
        record(segmentation={"size": [9, 9], "counts": [81]}),
        "image_id 1, category_id 2, score 0.5: got RLE size [9, 9] for an image of height 6 and width 8",
    ),
    "too few pixels": (
        record(segmentation={"size": SIZE, "counts": "=240"}),
        "image_id 1, category_id 2, score 0.5: got RLE counts for 21 of 48 pixels",
    ),
    "too many pixels": (
        record(segmentation={"size": SIZE, "counts": [13, 2, 400]}),
        "image_id 1, category_id 2, score 0.5: got RLE counts for 415 of 48 pixels",
    ),
    "a code that is cut": (
        record(segmentation={"size": SIZE, "counts": "=240g"}),
        "image_id 1, category_id 2, score 0.5: got RLE counts that are not run lengths",
    ),
    "a code of other characters": (
        record(segmentation={"size": SIZE, "counts": "=2é40g0"}),
        "image_id 1, category_id 2, score 0.5: got RLE counts that are not run lengths",
    ),
    "half a character": (
        record(segmentation={"size": SIZE, "counts": "\ud800"}),
        "image_id 1, category_id 2, score 0.5: got RLE counts that are not run lengths",
    ),
    "an odd polygon": (
        record(segmentation=[[1, 2, 3, 4, 5]]),
        "image_id 1, category_id 2, score 0.5: got a polygon of 5 coordinates",
    ),
    "no record": (3, "got 3, but needs a mapping"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_record_is_named_with_what_it_says(tmp_path, name):
    """Its place in the file, what it says, and what is wrong with it; the good one before is not told."""
    wrong, expected = WRONG[name]
    assert problems(tmp_path, [record(segmentation=SQUARE), wrong]) == [f"predictions[1]: {expected}"]


def test_all_wrong_records_are_told_at_once_and_many_are_counted(tmp_path):
    """The first twenty in the order of the file, whatever is wrong with them, then how many more."""
    cut = record(segmentation={"size": SIZE, "counts": "=240g"})
    told = problems(tmp_path, [cut, record(score=None, segmentation=SQUARE), cut])
    assert [line.split(":")[0] for line in told] == [f"predictions[{index}]" for index in (0, 1, 2)]
    told = problems(tmp_path, [cut] * 50)
    assert len(told) == 21
    assert told[-1] == "predictions: 30 more records with problems"


@pytest.mark.parametrize(
    ("box", "good"), [([0, 0, 2, 0], True), ([0, 0, -1, 2], False), ([0, 0, 1], False), ("all", False)]
)
def test_a_box_has_four_finite_numbers_and_no_negative_side(tmp_path, box, good):
    """A side of 0 px is a box that fits nothing."""
    if good:
        assert evaluate(tmp_path, [record(bbox=box)], "bbox").metrics["bbox/AP"] == 0
    else:
        expected = "bbox must be x, y, width, height, finite numbers"
        assert problems(tmp_path, [record(bbox=box)], "bbox") == [
            f"predictions[0]: image_id 1, category_id 2, score 0.5: {expected}"
        ]


FORM = "COCO results are a list of records with image_id, category_id, score, and segmentation or bbox"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", f"predictions: got a mapping, but needs a list (hint: {FORM})"),
        ("3", f"predictions: got 3, but needs a list (hint: {FORM})"),
        ("[1", "predictions: not JSON: Expecting ',' delimiter: line 1 column 3 (char 2)"),
        ("[" * 100000, "predictions: not JSON: nested too deeply"),
    ],
)
def test_a_file_that_is_no_list_of_records_is_told(tmp_path, text, expected):
    """Not JSON, or JSON of another form."""
    assert problems(tmp_path, text) == [expected]


def test_both_files_are_told_together(tmp_path):
    """What is wrong with the annotations stands before what is wrong with the predictions."""
    annotations = truth()
    annotations["annotations"][0]["segmentation"] = {"size": [6, 8], "counts": [50]}
    assert problems(tmp_path, "nothing", annotations=annotations) == [
        "gt: malformed segmentations: annotation 5 (got RLE counts for 50 of 48 pixels)",
        "predictions: not JSON: Expecting value: line 1 column 1 (char 0)",
    ]
    with pytest.raises(SpecInvalid, match="predictions: no such file"):
        evaluate_file(tmp_path / "gt.json", tmp_path / "none.json", "segm")
