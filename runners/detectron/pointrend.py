"""PointRend as a mask head: Detectron2's own project, made to fit any base with a feature pyramid.

Detectron2 has the project when it is built from source, as in `docker/detectron2`. Without it nothing here is
registered, and only a trial that asks for PointRend fails.

Source: PointRend: Image Segmentation as Rendering, arXiv:1912.08193; `detectron2/projects/point_rend`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from detectron2.config import CfgNode
from detectron2.modeling import ROI_MASK_HEAD_REGISTRY
from torch import Tensor

try:
    from detectron2.projects.point_rend import PointRendMaskHead, add_pointrend_config
except ImportError:
    PointRendMaskHead = add_pointrend_config = None

STOCK = "PointRendMaskHead"
OURS = "GuardedPointRendMaskHead"

_POOLED_SIDE = 14  # cells a side that the coarse head sees, of which it predicts 7: PointRend's own


def available() -> bool:
    """Whether this Detectron2 has the project."""
    return PointRendMaskHead is not None


def declare(cfg: CfgNode) -> None:
    """Adds the project's keys to a config, where there is the project."""
    if available():
        add_pointrend_config(cfg)


def switch_to_pointrend(cfg: CfgNode) -> None:
    """Turns a base of another mask head into one of PointRend.

    It takes its features from the finest level of the boxes' pyramid, and its coarse head is as wide as the
    box head's layers, which in PointRend's own configs it is, too.

    Raises:
        ValueError: There is no project, or the base's boxes and masks share one head.
    """
    if not available():
        raise ValueError(
            "mask_head.name: pointrend needs detectron2.projects.point_rend, which this Detectron2 has not;"
            " `pip install ./docker/detectron2` makes one that has it"
        )
    if cfg.MODEL.ROI_HEADS.NAME not in ("StandardROIHeads", "CascadeROIHeads", "PointRendROIHeads"):
        raise ValueError(
            "mask_head.name: pointrend needs a base with a feature pyramid or a dilated C5,"
            f" but this one's MODEL.ROI_HEADS.NAME is {cfg.MODEL.ROI_HEADS.NAME}"
        )
    head, points, finest = cfg.MODEL.ROI_MASK_HEAD, cfg.MODEL.POINT_HEAD, cfg.MODEL.ROI_HEADS.IN_FEATURES[0]
    head.IN_FEATURES, points.IN_FEATURES = (finest,), (finest,)
    head.POOLER_TYPE = ""  # it samples points of the image's features itself
    head.POOLER_RESOLUTION = _POOLED_SIDE
    head.FC_DIM = cfg.MODEL.ROI_BOX_HEAD.FC_DIM
    head.POINT_HEAD_ON = True


def switch_back(cfg: CfgNode) -> None:
    """Turns a base whose mask head reads the image's features, as PointRend does, into one that pools."""
    head = cfg.MODEL.ROI_MASK_HEAD
    head.POOLER_TYPE = "ROIAlignV2"  # that of every Mask R-CNN of the zoo
    if "POINT_HEAD_ON" in head:
        head.POINT_HEAD_ON = False


def complete(cfg: CfgNode) -> None:
    """Sets what any config of PointRend needs: the classes of the data, and masks of pixels; else nothing."""
    if cfg.MODEL.ROI_MASK_HEAD.NAME in (STOCK, OURS):
        cfg.MODEL.ROI_MASK_HEAD.NAME = OURS
        cfg.MODEL.POINT_HEAD.NUM_CLASSES = cfg.MODEL.ROI_HEADS.NUM_CLASSES
        cfg.INPUT.MASK_FORMAT = "bitmask"


if available():

    @ROI_MASK_HEAD_REGISTRY.register()
    class GuardedPointRendMaskHead(PointRendMaskHead):  # type: ignore[misc]  # detectron2 is untyped
        """Detectron2's PointRend head where its own would stop, with a factor on its losses.

        The stock head has no answer to a batch without a foreground box, and demands a coarse head that is no
        wider than the features it sees.

        Attributes:
            loss_weight: Factor on the coarse masks' and on the points' loss.
        """

        def __init__(self, cfg: CfgNode, input_shape: Mapping[str, Any]) -> None:
            channels = sum(input_shape[name].channels for name in cfg.MODEL.ROI_MASK_HEAD.IN_FEATURES)
            if channels < cfg.MODEL.ROI_MASK_HEAD.CONV_DIM:
                cfg = cfg.clone()
                cfg.defrost()
                cfg.MODEL.ROI_MASK_HEAD.CONV_DIM = channels
            super().__init__(cfg, input_shape)
            self.loss_weight = 1.0

        def forward(self, features: Mapping[str, Tensor], instances: Sequence[Any]) -> Any:
            """Losses in training, the instances with `pred_masks` in inference.

            Args:
                features: Feature maps of the images by name, (images, C, H, W) each.
                instances: Detectron2 Instances, one an image: foreground proposals or detections.
            """
            if not self.training:
                return super().forward(features, instances)
            if not any(map(len, instances)):
                nothing = sum(feature.sum() for feature in features.values()) * 0
                return {"loss_mask": nothing, "loss_mask_point": nothing}
            losses = super().forward(features, instances)
            return {name: loss * self.loss_weight for name, loss in losses.items()}
