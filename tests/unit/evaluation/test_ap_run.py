"""The matches that a champion is compared by are those that trials are measured by."""

import numpy as np
import pytest

from runners.evaluation.ap_run import ap_run
from runners.evaluation.coco import ground_truth
from runners.evaluation.metrics import evaluate_detections
from tests.evaluation_data import random_case

BINS = {"any": (0.0, 200.0), "tiny": (4.0, 20.0)}


@pytest.mark.parametrize(
    "metric",
    [
        "segm/AP",
        "segm/AP50",
        "segm/APm",
        "segm/AP-gear",
        "segm/AP_tiny",
        "bbox/AP",
        "bbox/APs",
        "boundary/AP75",
    ],
)
def test_on_all_images_it_is_the_metric(metric):
    """Of masks, boxes and boundaries, of a size, a category or an IoU: the evaluator's own number."""
    document, detections = random_case(3)
    truth = ground_truth(document)
    run = ap_run(metric, truth, detections, size_bins=BINS, max_detections=100)
    expected = evaluate_detections(truth, detections, size_bins=BINS)[metric]
    assert run.at(np.ones((1, len(truth.sizes)), np.int64))[0] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("metric", ["segm/AR100", "segm/AP-unknown", "latency/ms_per_image"])
def test_what_is_no_ap_of_the_data_is_refused(metric):
    """The error names the categories that there are."""
    document, detections = random_case(3)
    with pytest.raises(ValueError, match="no AP of this data, whose categories are gear, bracket"):
        ap_run(metric, ground_truth(document), detections, size_bins=BINS, max_detections=100)
