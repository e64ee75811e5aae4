"""Details of an evaluation as JSON."""

import json
import math
import subprocess
import sys
from dataclasses import replace

import pytest

from sweeps.core.details import (
    EvaluationDetails,
    ImageScores,
    OperatingCurve,
    OperatingPoint,
    OperatingPoints,
    Reliability,
    ReliabilityBin,
    SettingScore,
    SettingScores,
    details_document,
    details_from_document,
)

BEST = OperatingPoint(0.425, 80.0, 200 / 3, 72.7, 51.25)
CURVE = OperatingCurve((OperatingPoint(0.05, 1e-3, 90.0, 0.1, 99.0), BEST), BEST, BEST)
NOTHING = OperatingCurve((OperatingPoint(0.5, None, 0.0, 0.0, 100.0),), None, None)
BINS = (ReliabilityBin(0.0, 1 / 15, 12, 0.01, 0.0), ReliabilityBin(14 / 15, 1.0, 10**12, 0.99, 1.0))
SETTING = SettingScore(0.5, 0.05, 0.5, 100, 41.7)
WHOLE = EvaluationDetails(
    OperatingPoints(0.5, CURVE, {'gear "M3"': CURVE, "Ünterlegscheibe": NOTHING}),
    Reliability(BINS, BINS[:1], BINS[1:]),
    SettingScores("lrp/oLRP", (SETTING,), SETTING, SETTING),
    ImageScores((4012, 7), (100.0, 33.333)),
)


@pytest.mark.parametrize(
    "details", [WHOLE, EvaluationDetails(), EvaluationDetails(reliability=Reliability())]
)
def test_details_come_back_from_json_as_they_were(details):
    """To the last bit of every number, whatever parts there are."""
    assert details_from_document(details_document(details)) == details


def test_the_document_is_plain_json():
    """Names are those of the records; what was not measured is null."""
    document = json.loads(details_document(EvaluationDetails(settings=WHOLE.settings)))
    assert document["reliability"] is None
    assert document["settings"]["chosen"] == {
        "mask_threshold": 0.5,
        "score_threshold": 0.05,
        "nms_threshold": 0.5,
        "detections_per_image": 100,
        "value": 41.7,
    }


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_refused_where_it_is_made(value):
    """The store's JSON could not hold it, and a driver must not be the first to notice."""
    with pytest.raises(ValueError, match=r"ReliabilityBin.accuracy: got -?(nan|inf)"):
        ReliabilityBin(0.0, 0.5, 1, 0.25, value)
    with pytest.raises(ValueError, match=r"SettingScore.value: got -?(nan|inf)"):
        SettingScore(0.5, 0.5, 0.5, 100, value)


def test_a_text_that_is_no_details_is_refused():
    """Other JSON, and what is no JSON at all."""
    for text in ("{", '{"settings": 3}', '{"reliability": {"mask": [{"low": 0}]}}'):
        with pytest.raises(ValueError, match="validation error"):
            details_from_document(text)


def test_reports_are_imported_without_pydantic():
    """Every process that handles reports has the records; who reads or writes JSON pays for pydantic."""
    script = "import sys, sweeps.core.details; print('pydantic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_document_from_before_images_had_scores_is_read():
    """What an older masksweep stored lacks the part, and has all the others."""
    document = json.loads(details_document(WHOLE))
    del document["images"]
    assert details_from_document(json.dumps(document)) == replace(WHOLE, images=None)


@pytest.mark.parametrize(
    ("image_ids", "scores", "problem"),
    [
        ((1, 2), (50.0,), "got 1 scores for 2 images"),
        ((1, 1), (50.0, 60.0), "got 2 scores for 1 images"),
        ((1,), (100.5,), "got 100.5, but needs numbers from 0 to 100"),
        ((1,), (math.nan,), "got nan, but needs numbers from 0 to 100"),
    ],
)
def test_image_scores_that_pair_with_nothing_are_refused(image_ids, scores, problem):
    """A test compares two trials image by image: each needs one score of its own."""
    with pytest.raises(ValueError, match=problem):
        ImageScores(image_ids, scores)
