import numpy as np
import pytest

from runners.evaluation.calibration import Calibration, MaskCalibration, judge
from runners.evaluation.judge import judge as judge_all
from runners.evaluation.outcomes import outcomes
from sweeps.core.details import ReliabilityBin
from tests.unit.evaluation.scenes import detections_of, truth_of


def test_a_case_worked_out_by_hand():
    """Of four pixels at 0.9 three are the object's, and one of two at 0.3: ECE (4 * 0.15 + 2 * 0.2) / 6."""
    masks = MaskCalibration()
    masks.add(np.array([[0.9, 0.9, 0.3], [0.9, 0.9, 0.3]]), np.array([[1, 1, 0], [1, 0, 1]], bool))
    assert masks.ece() == pytest.approx((4 * 0.15 + 2 * 0.2) / 6 * 100)
    assert masks.bins() == (
        ReliabilityBin(4 / 15, 5 / 15, 2, pytest.approx(0.3), 0.5),
        ReliabilityBin(13 / 15, 14 / 15, 4, pytest.approx(0.9), 0.75),
    )


def test_bins_begin_at_their_lower_edge_and_the_last_one_has_both():
    """0 is in the first bin, a fifteenth in the second, and 1 in the last."""
    calibration = Calibration()
    calibration.add([0.0, 1 / 15, 14 / 15, 1.0], [0, 0, 1, 1])
    assert [(b.low, b.high, b.count) for b in calibration.bins()] == [
        (0, 1 / 15, 1),
        (1 / 15, 2 / 15, 1),
        (14 / 15, 1.0, 2),
    ]


def test_probabilities_that_say_the_truth_have_no_error():
    """A million pixels that are right as often as they say are calibrated, and their contrary is not."""
    rng = np.random.default_rng(0)
    p = rng.random(1_000_000, np.float32)
    good, bad = Calibration(), Calibration()
    good.add(p, rng.random(p.shape) < p)
    bad.add(p, rng.random(p.shape) < 1 - p)
    assert good.ece() < 0.2
    assert bad.ece() == pytest.approx(50, abs=0.5)


def test_nothing_is_no_measurement():
    """No pixel, no error; an empty region adds none."""
    calibration = MaskCalibration()
    calibration.add(np.zeros((0, 5)), np.zeros((0, 5), bool))
    assert (calibration.ece(), calibration.bins()) == (None, ())


def test_what_is_no_probability_is_refused():
    """Beyond 0 to 1, not a number, or of another shape than the truth."""
    for values in ([-0.01], [1.01], [np.nan]):
        with pytest.raises(ValueError, match="must be in 0 to 1"):
            Calibration().add(values, [1])
    with pytest.raises(ValueError, match=r"shape \(2,\), but truth of \(3,\)"):
        Calibration().add([0.5, 0.5], [1, 1, 1])


def test_scores_are_held_against_being_right_and_against_the_iou():
    """A score of 0.8 on a mask with IoU 0.8 is 20 too low for the one and right for the other."""
    truth = truth_of([(0, (0, 0, 10)), (1, (3, 0, 10))])
    detections = detections_of([(0, 0.8, (0, 0, 8)), (1, 0.4, (9, 0, 8))])
    metrics, diagrams = judge(outcomes(truth, detections))
    assert metrics == pytest.approx(
        {"calibration/score_ECE": (20 + 40) / 2, "calibration/score_LaECE": (0 + 40) / 2}, abs=1e-5
    )
    assert diagrams.mask == ()
    assert [(b.accuracy, b.count) for b in diagrams.box] == [(0.0, 1), (1.0, 1)]
    assert [b.accuracy for b in diagrams.box_iou] == pytest.approx([0.0, 0.8])


def test_all_is_judged_in_one_call():
    """Operating points, the calibration of scores and that of the masks handed in, with their details."""
    truth = truth_of([(0, (0, 0, 10))])
    masks = MaskCalibration()
    masks.add([0.75], [True])
    metrics, details = judge_all(truth, detections_of([(0, 0.75, (0, 0, 10))]), masks=masks)
    assert {name.split("/")[0] for name in metrics} == {"op", "lrp", "calibration"}
    assert metrics["calibration/mask_ECE"] == metrics["calibration/score_ECE"] == 25.0
    assert details.operating_points.overall.best_f1.f1 == 100.0
    assert details.reliability.mask == details.reliability.box
    assert details.settings is None
