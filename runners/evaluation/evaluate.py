"""Evaluates a model at a rung: one inference pass, then all metrics of what it found, and its cost."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from runners.evaluation.coco import MAX_DETECTIONS, GroundTruth
from runners.evaluation.metrics import evaluate_detections
from runners.evaluation.predictions import BATCH_SIZE, predict
from sweeps.core.size_bins import STANDARD_BINS, SizeBins

MASK_THRESHOLD = 0.5  # Detectron2's, which no config key sets


@dataclass(frozen=True, slots=True)
class ValidationSet:
    """What a model is evaluated on.

    Attributes:
        truth: Indexed annotations.
        inputs: Detectron2 test inputs, one an image; gone through once an evaluation.
    """

    truth: GroundTruth
    inputs: Iterable[Mapping[str, Any]]


def evaluate(
    model: nn.Module,
    val: ValidationSet,
    *,
    mask_threshold: float = MASK_THRESHOLD,
    detections_per_image: int = MAX_DETECTIONS,
    batch_size: int = BATCH_SIZE,
    size_bins: SizeBins = STANDARD_BINS,
) -> dict[str, float]:
    """What `evaluate_detections` and `CostMeter` give. What cannot be measured is absent.

    Args:
        model: A Detectron2 model; left in the mode it was in.
        val: The validation set.
        mask_threshold: 0 to 1.
        detections_per_image: The model's limit (`TEST.DETECTIONS_PER_IMAGE`); AP counts 100 or this, if
            larger.
        batch_size: Images a batch at most.
        size_bins: Name -> (low, high) in px, to measure the AP of masks in.
    """
    predictions = predict(model, val.inputs, mask_threshold=mask_threshold, batch_size=batch_size)
    limit = max(MAX_DETECTIONS, detections_per_image)
    metrics = evaluate_detections(
        val.truth, predictions.detections, max_detections=limit, size_bins=size_bins
    )
    return metrics | dict(predictions.cost)
