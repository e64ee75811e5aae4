"""One pass of a model over images that keeps what any setting of a grid would keep."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from detectron2.layers import batched_nms
from detectron2.modeling.roi_heads import cascade_rcnn, fast_rcnn
from detectron2.structures import Boxes, Instances
from torch import Tensor, nn

from sweeps.core.inference import InferenceSettings, SettingsGrid

BLOCK = 32
"""Boxes that go through the mask head at a time. Kernels are chosen by a batch's size and give different last
bits: in blocks of one size a box's mask does not depend on the boxes beside it."""

_MANY_COORDINATES = 4000
"""Numbers of boxes beyond which torchvision's batched_nms goes class by class on a CPU; see its source."""

BoxRule: TypeAlias = tuple[float, float, int]
"""(score threshold, NMS threshold, detections an image): what decides which boxes are kept."""


@dataclass(frozen=True, slots=True)
class Union:
    """All boxes of one image that some rule keeps.

    Attributes:
        instances: Detectron2's, with `pred_boxes` in the model's input, `scores`, `pred_classes` and, if the
            model has a mask head, soft `pred_masks` (N, 1, M, M).
        kept: For each rule the rows that it keeps, in the order in which the model would return them.
    """

    instances: Instances
    kept: Mapping[BoxRule, tuple[int, ...]]


def rule_of(settings: InferenceSettings) -> BoxRule:
    """The part of the settings that decides which boxes are kept."""
    return settings.score_threshold, settings.nms_threshold, settings.detections_per_image


def box_rules(grid: SettingsGrid) -> tuple[BoxRule, ...]:
    """The grid's rules for boxes, and that of its default."""
    return tuple(sorted({rule_of(settings) for settings in (*grid.combinations(), grid.default)}))


def infer(model: nn.Module, batch: Sequence[Mapping[str, Any]], rules: Sequence[BoxRule]) -> list[Union]:
    """Runs a Detectron2 model once, for all rules.

    Each rule's boxes, their scores and classes are, bit for bit, those that the model gives with
    `SCORE_THRESH_TEST`, `NMS_THRESH_TEST` and `DETECTIONS_PER_IMAGE` set to it. Masks, and scores that a mask
    head has changed, may differ in their last bit, as they do between batches.

    Args:
        model: A GeneralizedRCNN in evaluation mode.
        batch: Detectron2 test inputs.
        rules: At least one.
    """
    kept: list[Mapping[BoxRule, tuple[int, ...]]] = []
    # One rule's boxes are the model's own, and so is the batch that its mask head sees.
    with _all_rules(rules, kept), _in_blocks(model) if len(rules) > 1 else nullcontext():
        outputs = model.inference(list(batch), do_postprocess=False)  # type: ignore[operator]
    return [Union(instances, its) for instances, its in zip(outputs, kept, strict=True)]


@contextmanager
def _all_rules(rules: Sequence[BoxRule], kept: list[Mapping[BoxRule, tuple[int, ...]]]) -> Iterator[None]:
    """Steps into the function by which all of Detectron2's heads turn scored boxes into detections."""
    stock = fast_rcnn.fast_rcnn_inference

    def for_all(
        boxes: list[Tensor], scores: list[Tensor], shapes: list[tuple[int, int]], *_: Any
    ) -> tuple[list[Instances], None]:
        images = [_union(*one, rules) for one in zip(boxes, scores, shapes, strict=True)]
        kept.extend(its for _, its in images)
        return [instances for instances, _ in images], None

    fast_rcnn.fast_rcnn_inference = cascade_rcnn.fast_rcnn_inference = for_all
    try:
        yield
    finally:
        fast_rcnn.fast_rcnn_inference = cascade_rcnn.fast_rcnn_inference = stock


def _union(
    boxes: Tensor, scores: Tensor, shape: tuple[int, int], rules: Sequence[BoxRule]
) -> tuple[Instances, dict[BoxRule, tuple[int, ...]]]:
    """What the rules keep together, without doubles, in the order of their first keepers.

    Args:
        boxes: (R, 4) or (R, K * 4) XYXY of R proposals, for all K classes or for each.
        scores: (R, K + 1); the last column is the background's.
        shape: (height, width) of the model's input.
        rules: What is kept.

    Source: fast_rcnn_inference_single_image in detectron2/modeling/roi_heads/fast_rcnn.py, with the steps
    that do not depend on the rules done once.
    """
    finite = torch.isfinite(boxes).all(dim=1) & torch.isfinite(scores).all(dim=1)
    boxes, scores = boxes[finite], scores[finite][:, :-1]
    classes = scores.shape[1]
    clipped = Boxes(boxes.reshape(-1, 4))
    clipped.clip(shape)
    placed = clipped.tensor.view(len(scores), boxes.shape[1] // 4, 4)
    shared = placed.shape[1] == 1  # one box for all classes
    most = max(limit for _, _, limit in rules)
    rows: dict[int, int] = {}  # proposal and class -> row
    kept: dict[BoxRule, tuple[int, ...]] = {}
    done: dict[tuple[float, int, float], list[tuple[int, float]]] = {}
    for score in sorted({rule[0] for rule in rules}):
        above, threshold = scores > score, _as_in(scores, score)
        where = above.nonzero()
        some_boxes = placed[where[:, 0], 0] if shared else placed[above]
        some_scores = scores[above]
        # NMS never asks worse boxes about better ones: of the best boxes it keeps what it kept of more. But
        # it tells classes apart by shifting boxes by the largest coordinate, which gives other floats if that
        # changes, and it takes another way for many boxes.
        many = some_boxes.numel() > _MANY_COORDINATES
        largest = float(some_boxes.max()) if len(where) else 0.0
        for nms in sorted({rule[1] for rule in rules if rule[0] == score}):
            key = nms, many, largest
            if key not in done:
                keep = batched_nms(some_boxes, some_scores, where[:, 1], nms)
                keys = (where[keep, 0] * classes + where[keep, 1]).tolist()
                done[key] = list(zip(keys, some_scores[keep].tolist(), strict=True))
            best = [one for one, its_score in done[key] if its_score > threshold][:most]
            order = tuple(rows.setdefault(one, len(rows)) for one in best)
            kept |= {rule: order[: rule[2]] for rule in rules if rule[:2] == (score, nms)}
    places = torch.tensor(list(rows), dtype=torch.long, device=scores.device)
    proposal, category = places // classes, places % classes
    union = Instances(shape)
    union.pred_boxes = Boxes(placed[proposal, torch.zeros_like(category) if shared else category])
    union.scores = scores[proposal, category]
    union.pred_classes = category
    return union, kept


@contextmanager
def _in_blocks(model: nn.Module) -> Iterator[None]:
    """Lets the mask head see boxes in blocks of one size."""
    heads: Any = model.roi_heads
    stock = heads.forward_with_given_boxes

    def in_blocks(features: Mapping[str, Tensor], images: list[Instances]) -> list[Instances]:
        counts = [len(instances) for instances in images]
        places = [(image, row) for image, count in enumerate(counts) for row in range(count)]
        done: list[list[Instances]] = [[] for _ in images]
        for start in range(0, len(places), BLOCK):
            block = places[start : start + BLOCK]
            some = [
                instances[[row for image, row in block if image == number]]
                for number, instances in enumerate(images)
            ]
            padding = _padding(some[0], BLOCK - len(block))
            some[0] = Instances.cat([some[0], padding])
            results = stock(features, some)
            results[0] = results[0][: len(some[0]) - len(padding)]
            for parts, result in zip(done, results, strict=True):
                if len(result):
                    parts.append(result)
        return [
            Instances.cat(parts) if parts else _without_boxes(instances)
            for parts, instances in zip(done, images, strict=True)
        ]

    heads.forward_with_given_boxes = in_blocks
    try:
        yield
    finally:
        del heads.forward_with_given_boxes


def _as_in(tensor: Tensor, number: float) -> float:
    """The number as a comparison with the tensor takes it: rounded to its type."""
    return float(torch.tensor(number, dtype=tensor.dtype))


def _without_boxes(instances: Instances) -> Instances:
    """An image in which nothing was found, with masks all the same."""
    instances.pred_masks = instances.scores.new_zeros((0, 1, 1, 1))
    return instances


def _padding(like: Instances, count: int) -> Instances:
    """Boxes that only fill a block."""
    padding = Instances(like.image_size)
    device = like.pred_boxes.device
    height, width = like.image_size
    padding.pred_boxes = Boxes(torch.tensor([[0.0, 0.0, width, height]], device=device).repeat(count, 1))
    padding.scores = torch.zeros(count, device=device, dtype=like.scores.dtype)
    padding.pred_classes = torch.zeros(count, device=device, dtype=like.pred_classes.dtype)
    return padding
