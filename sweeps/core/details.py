"""What an evaluation tells beyond its metrics: curves, diagrams and grids, as records that become JSON.

Shares, such as precision, count from 0 to 100 as metrics do; probabilities and thresholds from 0 to 1.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import TypeAdapter


class _Numbers:
    """A record whose numbers are numbers: the store's JSON has no word for NaN and infinity."""

    __slots__ = ()

    def __post_init__(self) -> None:
        for each in fields(self):  # type: ignore[arg-type]  # every heir is a dataclass
            value = getattr(self, each.name)
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{type(self).__name__}.{each.name}: got {value}, but needs a finite number")


@dataclass(frozen=True, slots=True)
class OperatingPoint(_Numbers):
    """What becomes of a model's detections if only those that reach a score are kept.

    Attributes:
        score_threshold: 0 to 1; a detection is kept whose score reaches it.
        precision: Share of the detections that are right, in %; None if none is kept.
        recall: Share of the objects that are found, in %.
        f1: Harmonic mean of the two, in %.
        lrp: Localisation Recall Precision error, in %; 0 is perfect.
    """

    score_threshold: float
    precision: float | None
    recall: float
    f1: float
    lrp: float


@dataclass(frozen=True, slots=True)
class OperatingCurve:
    """A sample of operating points, and the best of all.

    Attributes:
        points: By ascending score threshold.
        best_f1: Where F1 is highest, over every threshold that makes a difference; None if nothing is found.
        best_lrp: Likewise where the LRP error is lowest.
    """

    points: tuple[OperatingPoint, ...]
    best_f1: OperatingPoint | None
    best_lrp: OperatingPoint | None


@dataclass(frozen=True, slots=True)
class OperatingPoints(_Numbers):
    """Operating curves of all detections together, and of each category that has an object.

    Attributes:
        iou_threshold: Mask IoU from which a detection is right.
        overall: One threshold for all categories; detections and objects are counted over all of them.
        categories: By name.
    """

    iou_threshold: float
    overall: OperatingCurve
    categories: Mapping[str, OperatingCurve]


@dataclass(frozen=True, slots=True)
class ReliabilityBin(_Numbers):
    """What was predicted with about the same probability, and how much of it came true.

    Attributes:
        low: The bin holds probabilities from here, 0 to 1,
        high: to below here; the last bin holds 1 as well.
        count: Predictions in it, at least 1.
        confidence: Their mean probability, 0 to 1.
        accuracy: The share that was right, 0 to 1; for `Reliability.box_iou` the mean IoU.
    """

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """Reliability diagrams. Bins without a prediction are left out; a diagram without bins is not measured.

    Attributes:
        mask: Pixels of soft masks: their probability, and whether they are the object's.
        box: Detections: their score, and whether they are right.
        box_iou: Detections: their score, and their mask IoU with the object, 0 for a wrong one.
    """

    mask: tuple[ReliabilityBin, ...] = ()
    box: tuple[ReliabilityBin, ...] = ()
    box_iou: tuple[ReliabilityBin, ...] = ()


@dataclass(frozen=True, slots=True)
class SettingScore(_Numbers):
    """Inference settings and what they give.

    Attributes:
        mask_threshold: 0 to 1.
        score_threshold: 0 to 1.
        nms_threshold: IoU, 0 to 1.
        detections_per_image: At most.
        value: The objective's, in its unit.
    """

    mask_threshold: float
    score_threshold: float
    nms_threshold: float
    detections_per_image: int
    value: float


@dataclass(frozen=True, slots=True)
class SettingScores:
    """A grid of inference settings.

    Attributes:
        objective: The metric that they were compared by.
        scores: One item a setting that could be measured.
        chosen: The setting chosen, with the value that it is judged by.
        default: The base config's own setting, likewise; None if it was not measured.
    """

    objective: str
    scores: tuple[SettingScore, ...]
    chosen: SettingScore
    default: SettingScore | None = None


@dataclass(frozen=True, slots=True)
class ImageScores:
    """How well each image is segmented.

    Attributes:
        image_ids: Ids in the annotations file, each once.
        scores: One an image, 0 to 100; 100 is perfect. `runners.evaluation.image_scores` defines it.
    """

    image_ids: tuple[int, ...]
    scores: tuple[float, ...]

    def __post_init__(self) -> None:
        if not len(set(self.image_ids)) == len(self.image_ids) == len(self.scores):
            raise ValueError(
                f"ImageScores: got {len(self.scores)} scores for {len(set(self.image_ids))} images"
            )
        for score in self.scores:
            if not 0 <= score <= 100:  # NaN fails as well
                raise ValueError(f"ImageScores.scores: got {score}, but needs numbers from 0 to 100")


@dataclass(frozen=True, slots=True)
class EvaluationDetails:
    """Everything that one evaluation tells beyond its metrics; a part that was not measured is None.

    Stored documents are never changed: a part that they do not have yet, such as `images`, is None as well.
    """

    operating_points: OperatingPoints | None = None
    reliability: Reliability | None = None
    settings: SettingScores | None = None
    images: ImageScores | None = None


def details_document(details: EvaluationDetails) -> str:
    """Details as JSON text."""
    return _adapter().dump_json(details).decode()


def details_from_document(text: str) -> EvaluationDetails:
    """What `details_document` wrote.

    Raises:
        ValueError: It is no such text.
    """
    return _adapter().validate_json(text)


@cache
def _adapter() -> "TypeAdapter[EvaluationDetails]":
    from pydantic import TypeAdapter  # noqa: PLC0415  (slow to import, and reports are used everywhere)

    return TypeAdapter(EvaluationDetails)
