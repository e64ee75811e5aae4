"""Intervals by bootstrap over images."""

import numpy as np
import pytest

from runners.evaluation.bootstrap import category_matches, draws, interval, replicate_aps
from runners.evaluation.coco import accumulate, bin_areas, ground_truth, load_results
from runners.evaluation.metrics import evaluate_detections
from runners.evaluation.vernier_matching import match
from tests.evaluation_data import detections_of, random_case, results_of

AREA = bin_areas({"all": (0.0, 1e5)})


def matches_of(truth, results):
    places = {image_id: index for index, image_id in enumerate(truth.sizes)}
    cells = match(truth, results, "segm", areas=AREA, keep_matches=True).eval_imgs()
    images = len(places)
    found = [category_matches(cells[k * images : (k + 1) * images], places) for k in range(len(truth.names))]
    return [one for one in found if one is not None]


@pytest.mark.parametrize("seed", range(4))
def test_every_image_once_gives_the_ap_itself(seed):
    """A replicate that draws each image once has COCO's AP."""
    document, detections = random_case(seed)
    truth, results = ground_truth(document), results_of(detections, "segm")
    weights = np.ones((1, len(truth.sizes)), np.int64)
    expected = accumulate(truth, truth.coco, load_results(truth, results), "segm").average_precision()
    assert replicate_aps(matches_of(truth, results), weights)[0] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_a_replicate_has_the_ap_of_the_images_it_draws(seed):
    """An image drawn twice is as good as two images alike; one not drawn is not there."""
    document, detections = random_case(seed)
    truth, results = ground_truth(document), results_of(detections, "segm")
    for number, result in enumerate(results):
        result["score"] += 1e-6 * number  # among ties, AP depends on the order of the images
    weights = draws(len(truth.sizes), 3)
    for row, actual in zip(weights.tolist(), replicate_aps(matches_of(truth, results), weights), strict=True):
        images, annotations, found = [], [], []
        for image, count in zip(document["images"], row, strict=True):
            for _ in range(count):
                image_id = len(images) + 1
                images.append({**image, "id": image_id})
                mine = [one for one in document["annotations"] if one["image_id"] == image["id"]]
                annotations += [{**one, "image_id": image_id} for one in mine]
                found += [{**one, "image_id": image_id} for one in results if one["image_id"] == image["id"]]
        drawn = ground_truth({**document, "images": images, "annotations": annotations})
        expected = accumulate(drawn, drawn.coco, load_results(drawn, found), "segm").average_precision()
        assert actual == pytest.approx(expected, abs=1e-9)


def test_draws_are_the_same_every_time():
    """Each replicate draws as many images as there are, the same in every evaluation."""
    assert draws(7).sum(axis=1).tolist() == [7] * 200
    np.testing.assert_array_equal(draws(7), draws.__wrapped__(7))


def test_an_interval_holds_the_estimate_and_follows_its_side():
    """Replicates that lie higher than the estimate are corrected for, not taken over."""
    replicates = np.linspace(40, 60, 200)
    low, high = interval(50.0, replicates)
    assert (low, high) == pytest.approx((40.5, 59.5), abs=0.2)
    shifted = interval(44.0, replicates)
    assert shifted[0] == pytest.approx(40.0, abs=0.2)
    assert shifted[1] < 53
    assert interval(30.0, replicates)[0] == 30.0
    assert interval(5.0, np.array([np.nan])) == (5.0, 5.0)


def test_more_images_give_a_narrower_interval():
    """Twice the same evaluation gives the same interval; eight times the images a narrower one."""

    def width(images):
        document, detections = random_case(5, images)
        metrics = evaluate_detections(ground_truth(document), detections, size_bins={"any": (0.0, 200.0)})
        assert metrics["segm/AP_any_low"] <= metrics["segm/AP_any"] <= metrics["segm/AP_any_high"]
        return metrics["segm/AP_any_high"] - metrics["segm/AP_any_low"]

    assert width(12) == width(12)
    assert width(96) < 0.7 * width(12)


def test_a_bin_has_its_count_and_a_number_only_if_there_is_something_to_count():
    """An empty bin is 0 instances and no AP; a model that finds nothing there has AP 0 within 0 and 0."""
    document, _ = random_case(0)
    document["annotations"] = [one for one in document["annotations"] if one["area"] > 64]
    nothing = [detections_of(image["id"], [], [], []) for image in document["images"]]
    metrics = evaluate_detections(ground_truth(document), nothing)
    small = {name: value for name, value in metrics.items() if "tiny" in name}
    tiny = sum(64 <= one["area"] <= 256 and not one["iscrowd"] for one in document["annotations"])
    assert small == {
        "count/gt_vtiny": 0.0,
        "count/gt_tiny": float(tiny),
        "segm/AP_tiny": 0.0,
        "segm/AP_tiny_low": 0.0,
        "segm/AP_tiny_high": 0.0,
    }
