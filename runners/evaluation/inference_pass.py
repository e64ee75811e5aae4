"""One inference pass over the validation images, for every setting of a grid."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from runners.evaluation.calibration import MaskCalibration
from runners.evaluation.candidates import Candidates, calibrate, candidates_of, place
from runners.evaluation.cost import CostMeter
from runners.evaluation.detections import Detections
from runners.evaluation.image_truth import ImageTruth, truth_by_image
from runners.evaluation.one_pass import BoxRule, box_rules, infer, rule_of
from runners.evaluation.truth import GroundTruth
from runners.stall import move
from sweeps.core.inference import InferenceSettings, SettingsGrid

BATCH_SIZE = 8
TIMED_IMAGES = 8
"""Images that are gone through one by one, with one setting, to measure latency."""


@dataclass(frozen=True, slots=True)
class Pass:
    """What a pass found.

    Attributes:
        mask_thresholds: Ascending, M: those of the grid, and the default's.
        images: One item an image, in the order of the input.
        truths: By (image id, class).
        calibration: Of the soft masks at the default settings.
        cost: What `CostMeter.metrics` gives at the default settings: latency from pixels in memory to pasted
            masks, peak memory for one image, parameters. Without a timed image, parameters alone.
    """

    mask_thresholds: tuple[float, ...]
    images: Sequence[Candidates]
    truths: Mapping[tuple[int, int], ImageTruth]
    calibration: MaskCalibration
    cost: Mapping[str, float]

    def detections(self, image: Candidates, settings: InferenceSettings) -> Detections:
        """What the model says of an image with these settings, best score first."""
        rows = image.kept[rule_of(settings)]
        reached = self.mask_thresholds.index(settings.mask_threshold) + 1
        masks = [image.masks[row].encode(reached) for row in rows]
        return Detections(image.image_id, image.boxes[rows], image.scores[rows], image.classes[rows], masks)


def run_pass(
    model: nn.Module,
    truth: GroundTruth,
    inputs: Iterable[Mapping[str, Any]],
    grid: SettingsGrid,
    *,
    batch_size: int = BATCH_SIZE,
    timed_images: int = TIMED_IMAGES,
) -> Pass:
    """Runs a model once over all inputs, in evaluation mode and fp32.

    Only neighbours of the same size share a batch: nothing is padded beyond what a single image would be.
    Soft masks are dropped batch by batch, so that memory does not grow with them.

    Args:
        model: A Detectron2 GeneralizedRCNN with a mask head; left in the mode it was in.
        truth: The annotations of the images.
        inputs: Detectron2 test inputs with image, height, width and image_id.
        grid: The settings that will be asked for.
        batch_size: Images a batch at most.
        timed_images: That many are seen alone as well, for latency, and the first one for memory; 0: neither
            is measured.
    """
    thresholds = tuple(sorted({*grid.mask_thresholds, grid.default.mask_threshold}))
    rules, plain, at = box_rules(grid), rule_of(grid.default), thresholds.index(grid.default.mask_threshold)
    truths = truth_by_image(truth)
    of_image: dict[int, dict[int, ImageTruth]] = {}
    for (image_id, k), some in truths.items():
        of_image.setdefault(image_id, {})[k] = some
    images: list[Candidates] = []
    calibration, meter, timed = MaskCalibration(), CostMeter(model), 0
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            for batch in _same_size_batches(inputs, batch_size):
                move()
                if timed_images and not images:
                    with meter.memory():
                        _plain(model, batch[0], plain)
                for item in batch[: timed_images - timed]:
                    with meter.batch(1):
                        _plain(model, item, plain)
                    timed += 1
                for item, union in zip(batch, infer(model, batch, rules), strict=True):
                    placed, there = place(item, union), of_image.get(item["image_id"], {})
                    planes = {k: some.decoded() for k, some in there.items()}
                    found = candidates_of(
                        item, union, placed, thresholds=thresholds, truths=there, planes=planes
                    )
                    calibrate(calibration, found, placed, truths=there, planes=planes, rule=plain, mask=at)
                    images.append(found)
    finally:
        model.train(training)
    return Pass(thresholds, images, truths, calibration, meter.metrics())


def _plain(model: nn.Module, item: Mapping[str, Any], rule: BoxRule) -> None:
    """What the model is in use: one image, one setting."""
    (union,) = infer(model, [item], [rule])
    place(item, union)


def _same_size_batches(
    inputs: Iterable[Mapping[str, Any]], batch_size: int
) -> Iterator[list[Mapping[str, Any]]]:
    for _, same in itertools.groupby(inputs, key=lambda item: item["image"].shape):
        while batch := list(itertools.islice(same, batch_size)):
            yield batch
