"""A mask head whose upsampling stride and loss are hyperparameters, and that can score its own masks."""

from collections.abc import Sequence
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import Conv2d, ConvTranspose2d, ShapeSpec, cat, get_norm
from detectron2.modeling.roi_heads.mask_head import (
    ROI_MASK_HEAD_REGISTRY,
    BaseMaskRCNNHead,
    mask_rcnn_inference,
    mask_rcnn_loss,
)
from fvcore.nn import weight_init
from torch import Tensor, nn
from torch.nn import functional

from runners.detectron.mask_iou import MaskIoUHead, of_class, rescore, true_ious
from runners.detectron.mask_losses import MASK_LOSSES, MaskTargets, mask_targets, of_classes


@ROI_MASK_HEAD_REGISTRY.register()
class StridedMaskHead(BaseMaskRCNNHead, nn.Sequential):  # type: ignore[misc]  # detectron2 is untyped
    """NUM_CONV 3x3 convolutions, an upsampling by UPSAMPLE_STRIDE, then a 1x1 predictor.

    A larger stride gives finer masks: a mask's side is POOLER_RESOLUTION x UPSAMPLE_STRIDE. With stride 1
    there is no upsampling layer; with stride 2 the weights, their names and the initialization are those of
    Detectron2's `MaskRCNNConvUpsampleHead`, so its checkpoints fit.

    With a mask-IoU head beside these layers it predicts how good each mask is, and in inference multiplies
    the detections' scores with that, as `mask_iou.rescore` has it.

    Source: Mask R-CNN (He et al., 2017), figure 4; `detectron2/modeling/roi_heads/mask_head.py`.
    """

    loss_weight: float
    vis_period: int

    @configurable  # type: ignore[untyped-decorator]
    def __init__(
        self,
        input_shape: ShapeSpec,
        *,
        num_classes: int,
        conv_dim: int,
        num_conv: int,
        stride: int,
        conv_norm: str = "",
        loss: str = "bce",
        mask_iou_fc_dim: int | None = None,
        mask_iou_weight: float = 1.0,
        **kwargs: Any,
    ) -> None:
        """Builds the layers.

        Args:
            input_shape: Shape of the pooled features; only `channels` is read.
            num_classes: Foreground classes, or 1 for class-agnostic masks.
            conv_dim: Channels of every hidden layer, at least 1.
            num_conv: 3x3 convolutions before the upsampling, 0 or more.
            stride: Upsampling factor, 1 or more.
            conv_norm: A name that `detectron2.layers.get_norm` knows, or "" for none.
            loss: A name of MASK_LOSSES.
            mask_iou_fc_dim: Width of the mask-IoU head's linear layers, or None for no such head.
            mask_iou_weight: Factor on its loss.
            kwargs: `loss_weight` and `vis_period` of the base class.

        Raises:
            ValueError: The stride is below 1, or there is no such loss.
        """
        super().__init__(**kwargs)
        if stride < 1:
            raise ValueError(f"UPSAMPLE_STRIDE must be at least 1, but got {stride}")
        if loss not in MASK_LOSSES:
            raise ValueError(f"MODEL.ROI_MASK_HEAD.LOSS: {loss!r} is not one of {', '.join(MASK_LOSSES)}")
        self._loss = MASK_LOSSES[loss]
        channels = input_shape.channels
        layers: list[tuple[str, nn.Module]] = []
        for k in range(num_conv):
            conv = Conv2d(
                channels,
                conv_dim,
                kernel_size=3,
                padding=1,
                bias=not conv_norm,
                norm=get_norm(conv_norm, conv_dim),
                activation=nn.ReLU(),
            )
            layers.append((f"mask_fcn{k + 1}", conv))
            channels = conv_dim
        if stride > 1:
            layers.append(("deconv", ConvTranspose2d(channels, conv_dim, kernel_size=stride, stride=stride)))
            layers.append(("deconv_relu", nn.ReLU()))
            channels = conv_dim
        predictor = Conv2d(channels, num_classes, kernel_size=1)
        for name, layer in (*layers, ("predictor", predictor)):
            self.add_module(name, layer)
        # Initialized after all are made, in Detectron2's order: one seed gives both heads the same weights.
        for name, layer in layers:
            if name != "deconv_relu":
                weight_init.c2_msra_fill(layer)
        nn.init.normal_(predictor.weight, std=0.001)
        nn.init.zeros_(predictor.bias)
        self._mask_layers = [name for name, _ in (*layers, ("predictor", predictor))]
        self._mask_iou_weight = mask_iou_weight
        if mask_iou_fc_dim is not None:
            scored = MaskIoUHead(
                input_shape.channels, conv_dim=conv_dim, fc_dim=mask_iou_fc_dim, num_classes=num_classes
            )
            self.add_module("mask_iou", scored)

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: ShapeSpec) -> dict[str, Any]:
        """Arguments of `__init__` from `cfg.MODEL.ROI_MASK_HEAD`."""
        head = cfg.MODEL.ROI_MASK_HEAD
        arguments: dict[str, Any] = super().from_config(cfg, input_shape)
        arguments.update(
            input_shape=input_shape,
            num_classes=1 if head.CLS_AGNOSTIC_MASK else cfg.MODEL.ROI_HEADS.NUM_CLASSES,
            conv_dim=head.CONV_DIM,
            num_conv=head.NUM_CONV,
            stride=head.UPSAMPLE_STRIDE,
            conv_norm=head.NORM,
            loss=head.LOSS,
            mask_iou_fc_dim=cfg.MODEL.ROI_BOX_HEAD.FC_DIM if head.MASK_IOU else None,
            mask_iou_weight=head.MASK_IOU_WEIGHT,
            loss_weight=head.LOSS_WEIGHT,
        )
        return arguments

    def forward(self, x: Tensor, instances: Sequence[Any]) -> Any:  # type: ignore[override]  # two bases
        """Losses in training, the instances with `pred_masks` in inference.

        Args:
            x: (B, C, P, P) pooled features of all images' boxes.
            instances: Detectron2 Instances, one an image: foreground proposals or detections.
        """
        logits = self.layers(x)
        scored: MaskIoUHead | None = self._modules.get("mask_iou")  # type: ignore[assignment]  # no other module
        if not self.training:
            mask_rcnn_inference(logits, instances)
            if scored is not None:
                rescore(instances, scored(x, cat([item.pred_masks[:, 0] for item in instances])))
            return instances
        if self._loss is None and scored is None:
            return {"loss_mask": mask_rcnn_loss(logits, instances, self.vis_period) * self.loss_weight}
        targets = mask_targets(logits.shape[-1], instances)
        if targets is None:
            nothing = logits.sum() * 0
            return {"loss_mask": nothing} | ({} if scored is None else {"loss_mask_iou": nothing})
        chosen = of_classes(logits, targets.classes)
        if self._loss is None:
            loss = mask_rcnn_loss(logits, instances, self.vis_period)
        else:
            loss = self._loss(chosen, targets.masks)
        losses = {"loss_mask": loss * self.loss_weight}
        if scored is not None:
            losses["loss_mask_iou"] = self._iou_loss(scored, x, chosen.sigmoid(), targets, instances)
        return losses

    def _iou_loss(
        self, scored: MaskIoUHead, x: Tensor, masks: Tensor, targets: MaskTargets, instances: Sequence[Any]
    ) -> Tensor:
        """Squared error of the predicted IoU of each proposal's own class."""
        with torch.no_grad():
            truth = true_ious(masks, targets, instances)
        predicted = of_class(scored(x, masks), targets.classes)
        return functional.mse_loss(predicted.float(), truth) * self._mask_iou_weight

    def layers(self, x: Tensor) -> Tensor:
        """Mask logits from pooled features: (B, C, P, P) to (B, classes, P * stride, P * stride)."""
        for name in self._mask_layers:
            x = self._modules[name](x)
        return x
