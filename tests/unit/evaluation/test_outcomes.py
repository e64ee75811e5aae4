import contextlib
import io
from dataclasses import replace

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from runners.evaluation.coco import ground_truth
from runners.evaluation.outcomes import match, objects_of, outcomes
from tests.unit.evaluation.scenes import CATEGORIES, detections_of, random_scene, truth_of


def test_the_better_score_takes_the_object():
    """A second detection of the same object is wrong, even if its mask is better."""
    truth = truth_of([(0, (0, 0, 10))])
    item = detections_of([(0, 0.6, (0, 0, 10)), (0, 0.9, (0, 0, 8))])[0]
    found = match(objects_of(truth, 1), item)
    assert found.objects.tolist() == [-1, 0]
    assert found.ious.tolist() == [0.0, 0.8]


def test_each_detection_takes_the_object_that_it_covers_best():
    """Of two objects in reach it is the nearer one, and the other stays free."""
    truth = truth_of([(0, (0, 0, 10)), (0, (0, 3, 10))])
    item = detections_of([(0, 0.9, (0, 2, 10)), (0, 0.8, (0, 1, 10))])[0]
    found = match(objects_of(truth, 1), item)
    assert found.objects.tolist() == [1, 0]
    assert found.ious.tolist() == [9 / 11, 9 / 11]


def test_an_overlap_that_reaches_the_threshold_is_enough():
    """IoU 0.5 is right at 0.5 and wrong above; another category is always wrong."""
    truth = truth_of([(0, (0, 0, 10))])
    item = detections_of([(0, 0.9, (0, 0, 5)), (1, 0.8, (0, 0, 10))])[0]
    assert match(objects_of(truth, 1), item).objects.tolist() == [0, -1]
    assert match(objects_of(truth, 1), item, 0.51).objects.tolist() == [-1, -1]


def test_what_falls_into_a_crowd_does_not_count():
    """Any number of detections may: they are neither right nor wrong. An object of its own comes first."""
    truth = truth_of([(0, (0, 0, 20), "crowd"), (0, (0, 0, 6))])
    found = outcomes(
        truth,
        detections_of([(0, 0.9, (0, 0, 5)), (0, 0.8, (0, 8, 5)), (0, 0.7, (0, 14, 5)), (0, 0.6, (5, 0, 5))]),
    )
    assert found.right.tolist() == [True, False]
    np.testing.assert_allclose(found.scores, [0.9, 0.6])
    np.testing.assert_allclose(found.ious, [5 / 6, 0])
    assert found.objects.tolist() == [1, 0]


def test_a_crowd_of_uncompressed_runs_is_read():
    """COCO's own files have them."""
    document = {
        "images": [{"id": 1, "height": 40, "width": 40}],
        "annotations": [
            {
                "id": 1,
                "image_id": 1,
                "category_id": 3,
                "iscrowd": 1,
                "segmentation": {"size": [40, 40], "counts": [0, 800, 800]},
            }
        ],
        "categories": list(CATEGORIES),
    }
    truth = ground_truth(document)
    assert match(objects_of(truth, 1), detections_of([(0, 0.5, (3, 2, 5))])[0]).ious.tolist() == [1.0]


@pytest.mark.parametrize("seed", range(6))
def test_matches_are_those_of_pycocotools(seed):
    """On random images with crowds and ties each detection has the same object, and counts or not alike."""
    truth, detections = random_scene(seed)
    with contextlib.redirect_stdout(io.StringIO()):
        reference = COCO()
        reference.dataset = {
            "images": [{"id": i, "height": 40, "width": 40} for i in truth.sizes],
            "annotations": [
                {**each, "segmentation": truth.coco.ann_to_rle(each)}
                for each in truth.coco.load_anns(truth.coco.get_ann_ids())
            ],
            "categories": list(CATEGORIES),
        }
        reference.createIndex()
        results = [
            {
                "image_id": item.image_id,
                "category_id": CATEGORIES[k]["id"],
                "score": float(s),
                "segmentation": m,
            }
            for item in detections
            for k, s, m in zip(item.classes, item.scores, item.masks, strict=True)
        ]
        evaluation = COCOeval(reference, reference.loadRes(results), "segm")
        evaluation.params.iouThrs = np.array([0.5])
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.evaluate()
    theirs, ours, number = {}, {}, 0
    for each in filter(None, evaluation.evalImgs):
        for dt, gt, ignored in zip(each["dtIds"], each["dtMatches"][0], each["dtIgnore"][0], strict=True):
            theirs[dt] = (int(gt), bool(ignored))
    for item in detections:
        objects, ids = objects_of(truth, item.image_id), truth.coco.get_ann_ids(img_ids=[item.image_id])
        for g in match(objects, item).objects:
            number += 1
            ours[number] = (ids[g], bool(objects.crowd[g])) if g >= 0 else (0, False)
    assert ours == theirs
    assert any(gt and not ignored for gt, ignored in ours.values())


def test_detections_that_cannot_be_judged_are_refused():
    """Without masks, of an unknown image, or with a score that is no number: by the image's id."""
    truth, (item,) = truth_of([]), detections_of([(0, 0.5, (0, 0, 5))])
    with pytest.raises(ValueError, match="image 1: got no masks"):
        outcomes(truth, [replace(item, masks=None)])
    with pytest.raises(ValueError, match="image 9: no such image"):
        outcomes(truth, [replace(item, image_id=9)])
    with pytest.raises(ValueError, match="image 1: a score is not finite"):
        outcomes(truth, [replace(item, scores=np.array([np.nan], np.float32))])


def test_no_images_have_no_outcomes():
    """Nothing in, nothing out, of the right types."""
    found = outcomes(truth_of(), [])
    assert (found.scores.shape, found.right.dtype, found.objects.tolist()) == ((0,), np.bool_, [0, 0])
