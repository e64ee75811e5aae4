"""One inference pass over the validation images: boxes, scores, classes and run-length-encoded masks."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import hotcoco.mask
import numpy as np
import torch
from detectron2.modeling.postprocessing import detector_postprocess
from torch import nn

from runners.evaluation.cost import CostMeter
from runners.evaluation.detections import Detections

__all__ = ["BATCH_SIZE", "Detections", "Predictions", "predict"]

BATCH_SIZE = 8


@dataclass(frozen=True, slots=True)
class Predictions:
    """A pass over a data set.

    Attributes:
        detections: One item an image, in the order of the input.
        cost: What `CostMeter.metrics` gives: latency from pixels in memory to pasted masks, peak memory for
            one image, parameters. Without an image, parameters alone.
    """

    detections: Sequence[Detections]
    cost: Mapping[str, float]


def predict(
    model: nn.Module,
    inputs: Iterable[Mapping[str, Any]],
    *,
    mask_threshold: float = 0.5,
    batch_size: int = BATCH_SIZE,
) -> Predictions:
    """Runs the model once over all inputs, in evaluation mode and fp32.

    Before that it sees the first image alone, to warm up and to measure memory.
    Only neighbours of the same size share a batch: nothing is padded beyond what a single image would be, so
    batching changes no result.

    Args:
        model: A Detectron2 model; left in the mode it was in.
        inputs: Detectron2 test inputs with image, height, width and image_id.
        mask_threshold: A pixel belongs to a mask whose probability reaches it; 0 to 1.
        batch_size: Images a batch at most.
    """
    detections: list[Detections] = []
    meter = CostMeter(model)
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            for batch in _same_size_batches(inputs, batch_size):
                if not detections:
                    with meter.memory():
                        _infer(model, batch[:1], mask_threshold)
                with meter.batch(len(batch)):
                    outputs = _infer(model, batch, mask_threshold)
                detections += [
                    _detections(item["image_id"], output) for item, output in zip(batch, outputs, strict=True)
                ]
    finally:
        model.train(training)
    return Predictions(detections, meter.metrics())


def _infer(model: nn.Module, batch: list[Mapping[str, Any]], mask_threshold: float) -> list[Any]:
    """Instances on the CPU, with pasted masks."""
    raw = model.inference(batch, do_postprocess=False)  # type: ignore[operator]  # nn.Module hides methods
    return [
        detector_postprocess(instances, item["height"], item["width"], mask_threshold).to("cpu")
        for instances, item in zip(raw, batch, strict=True)
    ]


def _same_size_batches(
    inputs: Iterable[Mapping[str, Any]], batch_size: int
) -> Iterator[list[Mapping[str, Any]]]:
    for _, same in itertools.groupby(inputs, key=lambda item: item["image"].shape):
        while batch := list(itertools.islice(same, batch_size)):
            yield batch


def _detections(image_id: int, instances: Any) -> Detections:
    masks = None
    if instances.has("pred_masks"):
        planes = instances.pred_masks.numpy().view(np.uint8)
        # (N, H, W) in C order is (H, W) in Fortran order once each plane is transposed by the encoder; a copy
        # here is what the encoder would do more slowly.
        masks = [hotcoco.mask.encode(np.asfortranarray(plane)) for plane in planes]
    return Detections(
        image_id=image_id,
        boxes=instances.pred_boxes.tensor.numpy(),
        scores=instances.scores.numpy(),
        classes=instances.pred_classes.numpy(),
        masks=masks,
    )
