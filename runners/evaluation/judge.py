"""What detections are worth in use: operating points, calibration and scores of images, from one matching."""

from collections.abc import Sequence

from runners.evaluation import calibration, operating_points
from runners.evaluation.calibration import MaskCalibration
from runners.evaluation.coco import GroundTruth
from runners.evaluation.detections import Detections
from runners.evaluation.image_scores import image_scores
from runners.evaluation.outcomes import IOU_THRESHOLD, outcomes
from sweeps.core.details import EvaluationDetails


def judge(
    truth: GroundTruth,
    detections: Sequence[Detections],
    *,
    masks: MaskCalibration | None = None,
    iou_threshold: float = IOU_THRESHOLD,
) -> tuple[dict[str, float], EvaluationDetails]:
    """The metrics `op/...`, `lrp/...` and `calibration/...`, what is behind them, and a score of each image.

    Args:
        truth: The annotations.
        detections: One item an image, with masks.
        masks: Pixels of the detections' soft masks, if they were looked at.
        iou_threshold: Mask IoU from which a detection is right; 0 to below 1.

    Raises:
        ValueError: Detections have no masks, a score that is not in 0 to 1, or an image that is not in the
            annotations.
    """
    found = outcomes(truth, detections, iou_threshold)
    points, curves = operating_points.judge(found, truth.names)
    gaps, diagrams = calibration.judge(found, masks)
    images = image_scores(found, points.get("lrp/score_threshold"))
    return points | gaps, EvaluationDetails(operating_points=curves, reliability=diagrams, images=images)
