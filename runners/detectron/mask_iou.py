"""Predicts how good each mask is, so that a detection's score can tell it.

Source: Mask Scoring R-CNN, arXiv:1903.00241.
"""

from collections.abc import Sequence
from typing import Any

import torch
from detectron2.layers import Conv2d, cat
from fvcore.nn import weight_init
from torch import Tensor, nn
from torch.nn import functional

from runners.detectron.mask_losses import MaskTargets

_CONVS = 4
_FCS = 2
_WHOLE_SIDE = 56  # cells in which an object is measured of which a proposal shows a part
_SIDE = 7  # cells that the linear layers see: what the paper's 14 x 14 windows come to


class MaskIoUHead(nn.Module):
    """IoU of a predicted mask with the ground truth, from the mask and the features it was made of.

    Four 3x3 convolutions, the last of stride 2, and two hidden linear layers, then one output a class.
    Windows of other sides than the paper's 14 cells are averaged to what its linear layers see.
    """

    def __init__(self, channels: int, *, conv_dim: int, fc_dim: int, num_classes: int) -> None:
        """Builds the layers.

        Args:
            channels: Of the pooled features.
            conv_dim: Of the convolutions.
            fc_dim: Of the hidden linear layers.
            num_classes: Foreground classes, or 1 for class-agnostic masks.
        """
        super().__init__()
        self.convs = nn.Sequential()
        width = channels + 1
        for place in range(_CONVS):
            stride = 2 if place == _CONVS - 1 else 1
            conv = Conv2d(width, conv_dim, kernel_size=3, stride=stride, padding=1, activation=nn.ReLU())
            weight_init.c2_msra_fill(conv)
            self.convs.append(conv)
            width = conv_dim
        self.fcs = nn.Sequential()
        width *= _SIDE * _SIDE
        for _ in range(_FCS):
            hidden = nn.Linear(width, fc_dim)
            weight_init.c2_xavier_fill(hidden)
            self.fcs.extend([hidden, nn.ReLU()])
            width = fc_dim
        self.predictor = nn.Linear(width, num_classes)
        nn.init.normal_(self.predictor.weight, std=0.01)
        nn.init.zeros_(self.predictor.bias)

    def forward(self, features: Tensor, masks: Tensor) -> Tensor:
        """IoUs by class, not bounded to 0 to 1.

        Args:
            features: (B, C, P, P), what the masks were predicted from.
            masks: (B, M, M) probabilities, M a multiple of P.

        Returns:
            (B, classes).
        """
        stride = masks.shape[-1] // features.shape[-1]
        pooled = functional.max_pool2d(masks[:, None], stride)
        x = self.convs(torch.cat([features, pooled], dim=1))
        if x.shape[-1] != _SIDE:
            x = functional.adaptive_avg_pool2d(x, _SIDE)
        ious: Tensor = self.predictor(self.fcs(x.flatten(1)))
        return ious


def of_class(ious: Tensor, classes: Tensor) -> Tensor:
    """The IoU of each instance's class: (B, C) or, class-agnostic, (B, 1) to (B,)."""
    if ious.shape[1] == 1:
        return ious[:, 0]
    return ious[torch.arange(len(ious), device=ious.device), classes]


def true_ious(masks: Tensor, targets: MaskTargets, instances: Sequence[Any]) -> Tensor:
    """What the head is to predict: IoU of the predicted mask with all of the ground truth.

    What of an object lies outside of its proposal counts as missed.

    Args:
        masks: (B, M, M) probabilities; a pixel belongs to a mask from 0.5.
        targets: The same proposals' ground truth within their boxes.
        instances: Detectron2 Instances, one an image, with proposal_boxes and gt_masks.

    Returns:
        (B,) in 0 to 1.
    """
    predicted, truth = masks > 0.5, targets.masks > 0.5
    overlap = (predicted & truth).flatten(1).sum(1)
    inside = truth.flatten(1).sum(1)
    total = inside / _shares_inside(instances).to(inside.device).clamp(min=1e-3)
    union = predicted.flatten(1).sum(1) + total - overlap
    return (overlap / union.clamp(min=1)).clamp(max=1)


def _shares_inside(instances: Sequence[Any]) -> Tensor:
    """(B,) the share of each ground truth that its proposal's box holds."""
    shares = []
    for item in instances:
        if not len(item):
            continue
        boxes, truth = item.proposal_boxes.tensor, item.gt_boxes.tensor
        # One box around both shows all of the object in one resolution; the proposal is a part of it.
        whole = torch.cat(
            [torch.minimum(boxes[:, :2], truth[:, :2]), torch.maximum(boxes[:, 2:], truth[:, 2:])], 1
        )
        seen = item.gt_masks.crop_and_resize(whole, _WHOLE_SIDE).to(boxes.device)
        corners = (
            (boxes - whole[:, :2].repeat(1, 2)) / (whole[:, 2:] - whole[:, :2]).repeat(1, 2) * _WHOLE_SIDE
        )
        centers = torch.arange(_WHOLE_SIDE, device=boxes.device) + 0.5
        columns = (centers >= corners[:, :1]) & (centers <= corners[:, 2:3])
        rows = (centers >= corners[:, 1:2]) & (centers <= corners[:, 3:])
        within = seen & rows[:, :, None] & columns[:, None, :]
        shares.append(within.flatten(1).sum(1) / seen.flatten(1).sum(1).clamp(min=1))
    together: Tensor = cat(shares)
    return together


def rescore(instances: Sequence[Any], ious: Tensor) -> None:
    """Multiplies each detection's score with the IoU that is predicted for its mask.

    What the box head said stays as `box_scores`, which NMS went by; doing it twice changes nothing. Each
    detection's score depends on that detection alone, and the order is left as it is. Without scores, as
    for boxes that were given, there is only the IoU.

    Args:
        instances: Detectron2 Instances, one an image, with pred_classes; get `mask_ious`, in 0 to 1.
        ious: (B, classes) of all their detections, one image after the other.
    """
    start = 0
    for item in instances:
        some = ious[start : start + len(item)]
        start += len(item)
        item.mask_ious = of_class(some, item.pred_classes).float().clamp(0, 1)
        if item.has("scores"):
            if not item.has("box_scores"):
                item.box_scores = item.scores
            item.scores = item.box_scores * item.mask_ious
