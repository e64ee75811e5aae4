"""Pictures of an evaluation's details."""

import struct
import subprocess
import sys
from dataclasses import replace

import pytest

from sweeps.core.details import (
    EvaluationDetails,
    OperatingCurve,
    OperatingPoint,
    OperatingPoints,
    Reliability,
    ReliabilityBin,
    SettingScore,
    SettingScores,
)
from sweeps.tracking.figures import pictures

NOTHING = OperatingCurve((OperatingPoint(0.0, None, 0.0, 0.0, 100.0),), None, None)
BEST = OperatingPoint(0.9, 80.0, 60.0, 68.6, 51.0)
BINS = (ReliabilityBin(0.4, 0.6, 10, 0.5, 0.4),)
SETTING = SettingScore(0.5, 0.05, 0.5, 100, 41.0)
OTHER = replace(SETTING, mask_threshold=0.4, nms_threshold=0.7, value=43.0)
ELSEWHERE = replace(SETTING, score_threshold=0.3, value=17.0)


def size_of(png: bytes) -> tuple[int, int]:
    """Width and height in pixels."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    return struct.unpack(">II", png[16:24])


@pytest.mark.parametrize(
    ("details", "names"),
    [
        (EvaluationDetails(), []),
        (EvaluationDetails(reliability=Reliability()), []),
        (EvaluationDetails(OperatingPoints(0.5, NOTHING, {})), ["operating_points.png"]),
        (
            EvaluationDetails(OperatingPoints(0.5, OperatingCurve((BEST,), BEST, BEST), {"a": NOTHING})),
            ["operating_points.png"],
        ),
        (EvaluationDetails(reliability=Reliability(mask=BINS)), ["reliability.png"]),
        (EvaluationDetails(reliability=Reliability(box=BINS, box_iou=BINS)), ["reliability.png"]),
        (EvaluationDetails(settings=SettingScores("segm/AP", (SETTING,), SETTING)), ["settings.png"]),
        (
            EvaluationDetails(
                settings=SettingScores("lrp/oLRP", (SETTING, OTHER, ELSEWHERE), OTHER, ELSEWHERE)
            ),
            ["settings.png"],
        ),
        (EvaluationDetails(settings=SettingScores("mine", (ELSEWHERE,), SETTING, SETTING)), ["settings.png"]),
    ],
)
def test_there_is_a_picture_of_each_part_that_was_measured(details, names):
    """Whatever is missing in it: curves without an optimum, one diagram, grids with holes or of one cell."""
    drawn = pictures(details)
    assert list(drawn) == names
    for png in drawn.values():
        width, height = size_of(png)
        assert 700 <= width <= 1600
        assert 300 <= height <= 1000


def test_the_same_details_give_the_same_bytes():
    """A mirror that stores a picture again changes nothing; other values are another picture."""
    details = EvaluationDetails(settings=SettingScores("segm/AP", (SETTING, OTHER), OTHER, SETTING))
    assert pictures(details) == pictures(details)
    changed = EvaluationDetails(settings=SettingScores("segm/AP", (SETTING, OTHER), SETTING, SETTING))
    assert pictures(changed) != pictures(details)


def test_drawing_is_quiet_and_loads_neither_matplotlib_before_nor_pyplot_ever(tmp_path):
    """Even the first time, when matplotlib makes its cache of fonts, nothing is said."""
    script = (
        "import sys; from sweeps.core.details import *; from sweeps.tracking.figures import pictures\n"
        "print('matplotlib' in sys.modules)\n"
        "setting = SettingScore(0.5, 0.05, 0.5, 100, 41.0)\n"
        "pictures(EvaluationDetails(settings=SettingScores('segm/AP', (setting,), setting)))\n"
        "print('matplotlib.pyplot' in sys.modules)\n"
    )
    environment = {"PYTHONPATH": ":".join(sys.path), "MPLCONFIGDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment
    )
    assert (done.stdout, done.stderr) == ("False\nFalse\n", "")
