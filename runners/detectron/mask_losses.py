"""Losses of a mask head beside Detectron2's cross-entropy: dice, and one that looks harder at the edges."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from detectron2.layers import cat
from torch import Tensor
from torch.nn import functional

MaskLoss: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""(B, M, M) logits and (B, M, M) targets, 0 or 1, to a scalar; B is at least 1."""

_EDGE_GAIN = 5.0  # of arXiv:1911.11445
_EDGE_WINDOW = 31 / 352  # of a mask's side: the paper's window on the paper's images


@dataclass(frozen=True, slots=True)
class MaskTargets:
    """What a mask head is to predict for the B foreground proposals of a batch.

    Attributes:
        classes: (B,) contiguous classes.
        masks: (B, M, M) float, 0 or 1: the matched ground truth within each proposal's box.
    """

    classes: Tensor
    masks: Tensor


def mask_targets(side: int, instances: Sequence[Any]) -> MaskTargets | None:
    """Ground truth in the resolution of the predictions, or None if there is no proposal.

    Args:
        side: M, cells of a predicted mask's side.
        instances: Detectron2 Instances, one an image, with proposal_boxes, gt_classes and gt_masks.
    """
    some = [item for item in instances if len(item)]
    if not some:
        return None
    masks = cat([item.gt_masks.crop_and_resize(item.proposal_boxes.tensor, side) for item in some])
    classes = cat([item.gt_classes.to(torch.int64) for item in some])
    return MaskTargets(classes, masks.to(device=classes.device, dtype=torch.float32))


def of_classes(logits: Tensor, classes: Tensor) -> Tensor:
    """The mask of each instance's class: (B, C, M, M) or, class-agnostic, (B, 1, M, M) to (B, M, M)."""
    if logits.shape[1] == 1:
        return logits[:, 0]
    return logits[torch.arange(len(logits), device=logits.device), classes]


def dice_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """1 minus the dice coefficient of soft mask and target, averaged over the instances.

    Each instance weighs the same, however little of its box it fills.

    Source: V-Net, arXiv:1606.04797, with the squared denominator of its equation.
    """
    masks, truth = logits.sigmoid().flatten(1), targets.flatten(1)
    overlap = (masks * truth).sum(1)
    total = masks.square().sum(1) + truth.square().sum(1)
    return (1 - (2 * overlap + 1) / (total + 1)).mean()  # 1: an empty target has a gradient, too


def boundary_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy in which pixels near the target's edge weigh up to six times those far from it.

    A pixel's weight is 1 + 5 |mean of the targets around it - its own target|, divided by the weights' mean.

    Source: the pixel position aware loss of F3Net, arXiv:1911.11445, whose window is scaled to the mask.
    """
    margin = max(1, round(targets.shape[-1] * _EDGE_WINDOW / 2))
    # The frame of a box is no edge of the mask: what lies beyond it does not count.
    around = functional.avg_pool2d(
        targets[:, None], 2 * margin + 1, stride=1, padding=margin, count_include_pad=False
    )[:, 0]
    weights = 1 + _EDGE_GAIN * (around - targets).abs()
    return functional.binary_cross_entropy_with_logits(logits, targets, weights / weights.mean())


MASK_LOSSES: Mapping[str, MaskLoss | None] = {"bce": None, "dice": dice_loss, "boundary": boundary_loss}
"""By the values of `MODEL.ROI_MASK_HEAD.LOSS`; None stands for Detectron2's own cross-entropy."""
