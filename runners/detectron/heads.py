"""A mask head whose upsampling stride and loss are hyperparameters; Detectron2's own has neither."""

from collections.abc import Sequence
from typing import Any

from detectron2.config import CfgNode, configurable
from detectron2.layers import Conv2d, ConvTranspose2d, ShapeSpec, get_norm
from detectron2.modeling.roi_heads.mask_head import ROI_MASK_HEAD_REGISTRY, BaseMaskRCNNHead
from fvcore.nn import weight_init
from torch import Tensor, nn

from runners.detectron.mask_losses import MASK_LOSSES, mask_targets, of_classes


@ROI_MASK_HEAD_REGISTRY.register()
class StridedMaskHead(BaseMaskRCNNHead, nn.Sequential):  # type: ignore[misc]  # detectron2 is untyped
    """NUM_CONV 3x3 convolutions, an upsampling by UPSAMPLE_STRIDE, then a 1x1 predictor.

    A larger stride gives finer masks: a mask's side is POOLER_RESOLUTION x UPSAMPLE_STRIDE. With stride 1
    there is no upsampling layer; with stride 2 the weights, their names and the initialization are those of
    Detectron2's `MaskRCNNConvUpsampleHead`, so its checkpoints fit.

    Source: Mask R-CNN (He et al., 2017), figure 4; `detectron2/modeling/roi_heads/mask_head.py`.
    """

    loss_weight: float

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
            loss_weight=head.LOSS_WEIGHT,
        )
        return arguments

    def forward(self, x: Tensor, instances: Sequence[Any]) -> Any:  # type: ignore[override]  # two bases
        """Losses in training, the instances with `pred_masks` in inference.

        Args:
            x: (B, C, P, P) pooled features of all images' boxes.
            instances: Detectron2 Instances, one an image: foreground proposals or detections.
        """
        if not self.training or self._loss is None:
            return BaseMaskRCNNHead.forward(self, x, instances)
        logits = self.layers(x)
        targets = mask_targets(logits.shape[-1], instances)
        if targets is None:
            return {"loss_mask": logits.sum() * 0}
        loss = self._loss(of_classes(logits, targets.classes), targets.masks)
        return {"loss_mask": loss * self.loss_weight}

    def layers(self, x: Tensor) -> Tensor:
        """Mask logits from pooled features: (B, C, P, P) to (B, classes, P * stride, P * stride)."""
        for layer in self:
            x = layer(x)
        return x
