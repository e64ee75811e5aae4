"""One inference pass over the validation images: boxes, scores, classes and run-length-encoded masks."""

import itertools
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import hotcoco.mask
import numpy as np
import torch
from detectron2.modeling.postprocessing import detector_postprocess
from numpy.typing import NDArray
from torch import nn

BATCH_SIZE = 8


@dataclass(frozen=True, slots=True)
class Detections:
    """What a model found in one image, best score first.

    Attributes:
        image_id: The image's id in the annotations file.
        boxes: (N, 4) XYXY in pixels of the original image.
        scores: (N,) in 0 to 1.
        classes: (N,) contiguous class indices, from 0.
        masks: N run-length encodings of the original image's size, or None if the model has no mask head.
    """

    image_id: int
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]
    masks: Sequence[Mapping[str, Any]] | None


@dataclass(frozen=True, slots=True)
class Predictions:
    """A pass over a data set.

    Attributes:
        detections: One item an image, in the order of the input.
        ms_per_image: Median milliseconds an image, from pixels in memory to pasted masks, the first batch
            left out (unless it is the only one); None if there was no image.
    """

    detections: Sequence[Detections]
    ms_per_image: float | None


def predict(
    model: nn.Module,
    inputs: Iterable[Mapping[str, Any]],
    *,
    mask_threshold: float = 0.5,
    batch_size: int = BATCH_SIZE,
) -> Predictions:
    """Runs the model once over all inputs, in evaluation mode and fp32.

    Only neighbours of the same size share a batch: nothing is padded beyond what a single image would be, so
    batching changes no result.

    Args:
        model: A Detectron2 model; left in the mode it was in.
        inputs: Detectron2 test inputs with image, height, width and image_id.
        mask_threshold: A pixel belongs to a mask whose probability reaches it; 0 to 1.
        batch_size: Images a batch at most.
    """
    detections: list[Detections] = []
    timings: list[tuple[float, int]] = []
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            for batch in _same_size_batches(inputs, batch_size):
                started = time.perf_counter()
                outputs = _infer(model, batch, mask_threshold)
                timings.append(((time.perf_counter() - started) * 1000 / len(batch), len(batch)))
                detections += [
                    _detections(item["image_id"], output) for item, output in zip(batch, outputs, strict=True)
                ]
    finally:
        model.train(training)
    warm = timings[1:] or timings
    per_image = [ms for ms, images in warm for _ in range(images)]
    return Predictions(detections, median(per_image) if per_image else None)


def _infer(model: nn.Module, batch: list[Mapping[str, Any]], mask_threshold: float) -> list[Any]:
    """Instances on the CPU, with pasted masks. The copy to the CPU waits for a GPU to finish."""
    raw = model.inference(batch, do_postprocess=False)  # type: ignore[operator]  # nn.Module hides methods
    return [
        detector_postprocess(_best_first(instances), item["height"], item["width"], mask_threshold).to("cpu")
        for instances, item in zip(raw, batch, strict=True)
    ]


def _best_first(instances: Any) -> Any:
    """Detections in the order of their scores: a head that rescores them leaves them in the order of NMS."""
    if not instances.has("box_scores"):
        return instances
    return instances[instances.scores.argsort(descending=True, stable=True)]


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
