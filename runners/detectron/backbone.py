"""A narrow ResNet with a feature pyramid, small enough to learn on a CPU."""

from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling.backbone import BACKBONE_REGISTRY
from detectron2.modeling.backbone.fpn import FPN, LastLevelMaxPool
from detectron2.modeling.backbone.resnet import BasicBlock, BasicStem, ResNet

BLOCKS_PER_STAGE = {10: (1, 1, 1, 1), 18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}


@BACKBONE_REGISTRY.register()  # type: ignore[untyped-decorator]  # detectron2 is untyped
def build_slim_resnet_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> FPN:
    """ResNet-10, 18 or 34 of any width and of as many stages as OUT_FEATURES asks for, with an FPN on top.

    Detectron2's own builder fixes RES2_OUT_CHANNELS at 64 for these depths. With res5 there is a p6 by max
    pooling, as in Detectron2's FPN; without, the pyramid ends at the last stage.

    Raises:
        ValueError: `MODEL.RESNETS.DEPTH` is not 10, 18 or 34.

    Source: `detectron2/modeling/backbone/{resnet,fpn}.py`.
    """
    resnet = cfg.MODEL.RESNETS
    if resnet.DEPTH not in BLOCKS_PER_STAGE:
        raise ValueError(
            f"MODEL.RESNETS.DEPTH: {resnet.DEPTH} is not one of {', '.join(map(str, BLOCKS_PER_STAGE))}"
        )
    stem = BasicStem(input_shape.channels, resnet.STEM_OUT_CHANNELS, resnet.NORM)
    last_stage = max(int(name.removeprefix("res")) for name in resnet.OUT_FEATURES)
    stages = []
    in_channels, out_channels = resnet.STEM_OUT_CHANNELS, resnet.RES2_OUT_CHANNELS
    for stage, blocks in zip(range(2, last_stage + 1), BLOCKS_PER_STAGE[resnet.DEPTH], strict=False):
        first_stride = 1 if stage == 2 else 2
        stages.append(
            ResNet.make_stage(
                BasicBlock,
                blocks,
                stride_per_block=[first_stride] + [1] * (blocks - 1),
                in_channels=in_channels,
                out_channels=out_channels,
                norm=resnet.NORM,
            )
        )
        in_channels, out_channels = out_channels, out_channels * 2
    bottom_up = ResNet(stem, stages, out_features=resnet.OUT_FEATURES, freeze_at=cfg.MODEL.BACKBONE.FREEZE_AT)
    return FPN(
        bottom_up=bottom_up,
        in_features=cfg.MODEL.FPN.IN_FEATURES,
        out_channels=cfg.MODEL.FPN.OUT_CHANNELS,
        norm=cfg.MODEL.FPN.NORM,
        top_block=LastLevelMaxPool() if last_stage == 5 else None,
        fuse_type=cfg.MODEL.FPN.FUSE_TYPE,
    )
