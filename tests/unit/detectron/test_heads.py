import pytest
import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling.roi_heads.mask_head import MaskRCNNConvUpsampleHead, build_mask_head

from runners.detectron.config import masksweep_cfg
from runners.detectron.heads import StridedMaskHead
from runners.detectron.model import build_model

FEATURES = ShapeSpec(channels=16, width=14, height=14)


def head_cfg(name: str, *, stride: int = 2, norm: str = "", agnostic: bool = False):
    cfg = masksweep_cfg()
    head = cfg.MODEL.ROI_MASK_HEAD
    head.NAME, head.UPSAMPLE_STRIDE, head.NORM, head.CLS_AGNOSTIC_MASK = name, stride, norm, agnostic
    head.CONV_DIM, head.NUM_CONV = 32, 2
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = 3
    return cfg


@pytest.mark.parametrize("agnostic", [False, True])
@pytest.mark.parametrize("norm", ["", "GN"])
def test_stride_2_is_the_stock_head(norm, agnostic):
    """With stride 2 names, weights from one seed and outputs are those of Detectron2's head."""
    heads = []
    for name in ("MaskRCNNConvUpsampleHead", "StridedMaskHead"):
        torch.manual_seed(0)
        heads.append(build_mask_head(head_cfg(name, norm=norm, agnostic=agnostic), FEATURES))
    stock, strided = heads
    assert type(stock) is MaskRCNNConvUpsampleHead
    assert type(strided) is StridedMaskHead
    expected, actual = stock.state_dict(), strided.state_dict()
    assert list(expected) == list(actual)
    assert all(torch.equal(expected[name], actual[name]) for name in expected)
    x = torch.randn(2, 16, 14, 14)
    assert torch.equal(stock.layers(x), strided.layers(x))


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize(("agnostic", "classes"), [(False, 3), (True, 1)])
def test_mask_side_is_the_pooled_side_times_the_stride(stride, agnostic, classes):
    """A larger stride gives finer masks; class-agnostic heads give one mask for all classes."""
    head = build_mask_head(head_cfg("StridedMaskHead", stride=stride, agnostic=agnostic), FEATURES)
    assert head.layers(torch.zeros(2, 16, 14, 14)).shape == (2, classes, 14 * stride, 14 * stride)


def test_a_stride_below_1_is_refused():
    """A stride of 0 is an error with its value, not an empty layer."""
    with pytest.raises(ValueError, match="at least 1, but got 0"):
        build_mask_head(head_cfg("StridedMaskHead", stride=0), FEATURES)


@pytest.mark.parametrize("name", ["MaskRCNNConvUpsampleHead", "StridedMaskHead"])
def test_the_mask_loss_weight_reaches_every_head(name):
    """The loss weight of the config is that of the built head, stock or ours."""
    cfg = masksweep_cfg()
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.MASK_ON = True
    cfg.MODEL.BACKBONE.NAME = "build_slim_resnet_fpn_backbone"
    cfg.MODEL.RESNETS.DEPTH = 10
    cfg.MODEL.RESNETS.OUT_FEATURES = ["res2", "res3"]
    cfg.MODEL.FPN.IN_FEATURES = ["res2", "res3"]
    cfg.MODEL.RPN.IN_FEATURES = ["p2", "p3"]
    cfg.MODEL.ANCHOR_GENERATOR.SIZES = [[16], [32]]
    cfg.MODEL.ROI_HEADS.NAME = "StandardROIHeads"
    cfg.MODEL.ROI_HEADS.IN_FEATURES = ["p2"]
    cfg.MODEL.ROI_BOX_HEAD.NAME = "FastRCNNConvFCHead"
    cfg.MODEL.ROI_BOX_HEAD.NUM_FC = 1
    cfg.MODEL.ROI_MASK_HEAD.NAME = name
    cfg.MODEL.ROI_MASK_HEAD.LOSS_WEIGHT = 2.5
    assert build_model(cfg).roi_heads.mask_head.loss_weight == 2.5
