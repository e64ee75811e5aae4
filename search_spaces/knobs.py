"""The table of knobs: every tunable name, what it may be, and the Detectron2 config key it stands for."""

from search_spaces.knob_types import Between, Knob, Needs, OneOf

_CONV_HEADS = Needs("mask_head.name", ("stock", "strided"))
_POINT_HEAD = Needs("mask_head.name", ("pointrend",))
_MASK = "MODEL.ROI_MASK_HEAD"
_MASK_SCORING = "Mask Scoring R-CNN, arXiv:1903.00241"
_POINTS = "MODEL.POINT_HEAD"
_POINTREND = "PointRend, arXiv:1912.08193; detectron2/projects/point_rend"
_MASK_SOURCE = "detectron2/modeling/roi_heads/mask_head.py"
_AUGMENTATION = "detectron2/data/transforms/augmentation_impl.py"
_COPY_PASTE = "Simple Copy-Paste is a Strong Data Augmentation Method, arXiv:2012.07177"
_SOLVER = "detectron2/solver/build.py"
_RPN = "detectron2/modeling/proposal_generator/proposal_utils.py"

# fmt: off
KNOBS: tuple[Knob, ...] = (
    Knob(
        "mask_head.name", f"{_MASK}.NAME", "str", "", OneOf(("stock", "strided", "pointrend")), "stock",
        "Mask head. stock: Detectron2's, which always upsamples by 2; strided: the same layers with a "
        "free upsample_stride. At stride 2 they are the same network and share weights. pointrend: a coarse "
        "mask, refined point by point where it is unsure; needs a base with a feature pyramid, starts from "
        "random weights, and is tuned by point_head.*.",
        f"{_MASK_SOURCE}; PointRend, arXiv:1912.08193",
    ),
    Knob(
        "mask_head.upsample_stride", f"{_MASK}.UPSAMPLE_STRIDE", "int", "", OneOf((1, 2, 4)), 2,
        "Upsampling before the mask predictor. A larger stride gives finer masks, at more time and "
        "memory: mask side = pooler_resolution x stride. Needs the strided head, and takes it if "
        "mask_head.name is not in the space. Pretrained upsampling weights fit stride 2 only.",
        "masksweep's StridedMaskHead", needs=Needs("mask_head.name", ("strided",)),
    ),
    Knob(
        "mask_head.conv_dim", f"{_MASK}.CONV_DIM", "int", "channels", Between(32, 1024, 32), 256,
        "Width of the mask head's convolutions and of its upsampling; of PointRend's coarse head, which is "
        "no wider than the features. Multiples of 32, so that GN's 32 groups always fit. A width other "
        "than the base's starts the head from random weights.",
        _MASK_SOURCE,
    ),
    Knob(
        "mask_head.num_conv", f"{_MASK}.NUM_CONV", "int", "layers", Between(1, 8), None,
        "Number of 3x3 convolutions before the upsampling; 4 in the zoo's FPN models.",
        _MASK_SOURCE, needs=_CONV_HEADS,
    ),
    Knob(
        "mask_head.pooler_resolution", f"{_MASK}.POOLER_RESOLUTION", "int", "cells", Between(4, 64), 14,
        "Side of the feature window that ROIAlign cuts for a mask. Cost grows with its square. Without "
        "effect on C4 bases, whose masks use the box head's window.",
        "Mask R-CNN, arXiv:1703.06870; detectron2/modeling/poolers.py", needs=_CONV_HEADS,
    ),
    Knob(
        "mask_head.norm", f"{_MASK}.NORM", "str", "", OneOf(("none", "BN", "GN")), "none",
        "Normalization in the mask head's convolutions: none, batch norm over the boxes, or group norm.",
        "Group Normalization, arXiv:1803.08494; detectron2/layers/batch_norm.py", needs=_CONV_HEADS,
    ),
    Knob(
        "mask_head.class_agnostic", f"{_MASK}.CLS_AGNOSTIC_MASK", "bool", "", OneOf((False, True)), False,
        "Whether one mask serves all classes instead of one a class; helps where classes look alike "
        "and data is scarce.",
        _MASK_SOURCE, needs=_CONV_HEADS,
    ),
    Knob(
        "mask_head.loss_weight", f"{_MASK}.LOSS_WEIGHT", "float", "", Between(0.01, 100), 1.0,
        "Factor on the mask loss beside the box and proposal losses, whichever head it is of.",
        _MASK_SOURCE,
    ),
    Knob(
        "mask_head.loss", f"{_MASK}.LOSS", "str", "", OneOf(("bce", "dice", "boundary")), "bce",
        "Mask loss. bce: Detectron2's cross-entropy of pixels; dice: overlap of the whole mask, so that "
        "thin and small parts count as much; boundary: cross-entropy in which pixels near the edge weigh "
        "up to six times the others. dice and boundary need the strided head, which takes the stock "
        "one's place.",
        "V-Net, arXiv:1606.04797 (dice); F3Net, arXiv:1911.11445 (boundary)", needs=_CONV_HEADS,
    ),
    Knob(
        "mask_head.mask_iou", f"{_MASK}.MASK_IOU", "bool", "", OneOf((False, True)), False,
        "Whether a branch predicts each mask's IoU with the object and multiplies the detection's score "
        "with it: well-segmented detections come first. Needs the strided head, which takes the stock one's "
        "place.",
        _MASK_SCORING, needs=_CONV_HEADS,
    ),
    Knob(
        "mask_head.mask_iou_weight", f"{_MASK}.MASK_IOU_WEIGHT", "float", "", Between(0.01, 100), 1.0,
        "Factor on the mask-IoU branch's squared error beside the other losses.",
        _MASK_SCORING, needs=Needs("mask_head.mask_iou", (True,), implied=False),
    ),
    Knob(
        "point_head.num_points", f"{_POINTS}.TRAIN_NUM_POINTS", "int", "points", Between(16, 4096), 196,
        "Points of a box on which PointRend's point head trains, mostly where the coarse mask is unsure.",
        _POINTREND, needs=_POINT_HEAD,
    ),
    Knob(
        "point_head.importance_ratio", f"{_POINTS}.IMPORTANCE_SAMPLE_RATIO", "float", "of the points",
        Between(0, 1), 0.75,
        "How many of those points are where the coarse mask is unsure; the others are anywhere in the box.",
        _POINTREND, needs=_POINT_HEAD,
    ),
    Knob(
        "point_head.subdivision_steps", f"{_POINTS}.SUBDIVISION_STEPS", "int", "steps", Between(2, 6), 5,
        "How often PointRend doubles a mask's side in testing, from 7 cells: 5 steps give 224. Training "
        "does not depend on it.",
        _POINTREND, needs=_POINT_HEAD,
    ),
    Knob(
        "point_head.fc_dim", f"{_POINTS}.FC_DIM", "int", "channels", Between(16, 1024), 256,
        "Width of the point head's layers.",
        _POINTREND, needs=_POINT_HEAD,
    ),
    Knob(
        "point_head.num_fc", f"{_POINTS}.NUM_FC", "int", "layers", Between(1, 8), 3,
        "Number of the point head's hidden layers.",
        _POINTREND, needs=_POINT_HEAD,
    ),
    Knob(
        "solver.optimizer", "SOLVER.OPTIMIZER", "str", "", OneOf(("SGD", "AdamW")), "SGD",
        "SGD with momentum, or AdamW; AdamW wants a base_lr some 20 times smaller.",
        "AdamW: Decoupled Weight Decay, arXiv:1711.05101",
    ),
    Knob(
        "solver.base_lr", "SOLVER.BASE_LR", "float", "", Between(1e-7, 10), 0.001,
        "Peak learning rate, after warm-up; warm-up takes at most a tenth of the iterations.",
        _SOLVER,
    ),
    Knob(
        "solver.schedule", None, "str", "", OneOf(("steps", "cosine")), "steps",
        "How the learning rate falls: in steps, at the base's fractions of the iterations, or along a "
        "cosine to 0.",
        _SOLVER, ("SOLVER.LR_SCHEDULER_NAME",),
    ),
    Knob(
        "solver.weight_decay", "SOLVER.WEIGHT_DECAY", "float", "", Between(0, 1), 0.0001,
        "L2 penalty (SGD) or decoupled decay (AdamW); normalization layers are left out.",
        _SOLVER,
    ),
    Knob(
        "solver.batch_size", "SOLVER.IMS_PER_BATCH", "int", "images", Between(1, 1024), 16,
        "Images a training iteration. The learning rate is not scaled with it: search both.",
        _SOLVER,
    ),
    Knob(
        "anchors.preset", None, "str", "", OneOf(("default", "small", "large", "dense", "fitted")), "default",
        "Anchor sizes, scaled from the base's own: small halves and large doubles them, dense adds a "
        "size x 1.41 beside each (pretrained RPN outputs do not fit dense). fitted: as many sizes and aspect "
        "ratios as the base has, by k-means over the training boxes at the training size.",
        "detectron2/modeling/anchor_generator.py; YOLO9000, arXiv:1612.08242 (fitted)",
        ("MODEL.ANCHOR_GENERATOR.SIZES", "MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS"),
    ),
    Knob(
        "rpn.pre_nms_topk", None, "int", "proposals", Between(16, 20000), None,
        "Proposals a feature level kept before NMS in training; in testing the base's ratio of the two "
        "is kept. Raised to post_nms_topk if below it.",
        _RPN, ("MODEL.RPN.PRE_NMS_TOPK_TRAIN", "MODEL.RPN.PRE_NMS_TOPK_TEST"),
    ),
    Knob(
        "rpn.post_nms_topk", None, "int", "proposals", Between(16, 10000), None,
        "Proposals kept after NMS in training; in testing the base's ratio of the two is kept.",
        _RPN, ("MODEL.RPN.POST_NMS_TOPK_TRAIN", "MODEL.RPN.POST_NMS_TOPK_TEST"),
    ),
    Knob(
        "input.size", None, "int", "px", Between(32, 4096), None,
        "Length of an image's shorter side in testing; training sizes and the limits on the longer "
        "side are scaled by the same factor from the base's.",
        _AUGMENTATION,
        ("INPUT.MIN_SIZE_TEST", "INPUT.MIN_SIZE_TRAIN", "INPUT.MAX_SIZE_TRAIN", "INPUT.MAX_SIZE_TEST"),
    ),
    Knob(
        "augment.flip", "INPUT.RANDOM_FLIP", "str", "", OneOf(("none", "horizontal", "vertical")),
        "horizontal",
        "Random flip of half of the training images.",
        _AUGMENTATION,
    ),
    Knob(
        "augment.brightness", "INPUT.BRIGHTNESS", "float", "", Between(0, 0.9), 0.0,
        "Random brightness: r draws a factor from 1-r to 1+r; 0 is off.",
        _AUGMENTATION,
    ),
    Knob(
        "augment.contrast", "INPUT.CONTRAST", "float", "", Between(0, 0.9), 0.0,
        "Random contrast: r draws a factor from 1-r to 1+r; 0 is off.",
        _AUGMENTATION,
    ),
    Knob(
        "augment.saturation", "INPUT.SATURATION", "float", "", Between(0, 0.9), 0.0,
        "Random saturation: r draws a factor from 1-r to 1+r; 0 is off.",
        _AUGMENTATION,
    ),
    Knob(
        "augment.crop", None, "float", "of a side", Between(0.3, 1), 1.0,
        "Random crop: each side keeps a fraction drawn from this value to 1; 1 is off.",
        _AUGMENTATION, ("INPUT.CROP.SIZE", "INPUT.CROP.ENABLED", "INPUT.CROP.TYPE"),
    ),
    Knob(
        "augment.scale_jitter", "INPUT.SCALE_JITTER", "float", "", Between(0, 0.9), 0.0,
        "Random resize on top of the input size: r draws a factor from 1-r to 1+r; 0 is off.",
        "masksweep's JitteredResize", needs=Needs("augment.large_scale_jitter", (False,)),
    ),
    Knob(
        "augment.large_scale_jitter", "INPUT.LARGE_SCALE_JITTER", "bool", "", OneOf((False, True)), False,
        "Random resize by a factor from 0.1 to 2, then crop or padding to the input size. Pays in long "
        "trainings and with copy_paste; takes scale_jitter's place.",
        _COPY_PASTE,
    ),
    Knob(
        "augment.rotation", "INPUT.ROTATION", "float", "degrees", Between(0, 180), 0.0,
        "Random rotation about the middle of the image, by up to this angle either way; 0 is off. The image "
        "keeps its size, and what leaves it is cut off.",
        "masksweep's Rotation",
    ),
    Knob(
        "augment.copy_paste", "INPUT.COPY_PASTE", "float", "of the images", Between(0, 1), 0.0,
        "Share of the training images on which instances of another one are pasted, cut out along their "
        "masks, each at a random place. What they cover is no longer part of the masks beneath.",
        _COPY_PASTE,
    ),
    Knob(
        "augment.copy_paste_small_bias", "INPUT.COPY_PASTE_SMALL_BIAS", "float", "", Between(0, 1), 0.0,
        "How much copy_paste prefers small instances: an instance's weight is (box area)^-b. 0 is no "
        "preference; at 1 half the side is four times the weight.",
        "Augmentation for small object detection, arXiv:1902.07296",
        needs=Needs("augment.copy_paste", implied=False, off=(0,)),
    ),
    Knob(
        "sampling.repeat_rare", "DATALOADER.REPEAT_THRESHOLD", "float", "of the images", Between(0, 1), 0.0,
        "Images of rare categories come more than once an epoch: a category that is in a share f of the "
        "images, below this threshold t, repeats them sqrt(t/f) times. 0 is off.",
        "LVIS, arXiv:1908.03195, appendix B; detectron2/data/samplers/distributed_sampler.py",
        ("DATALOADER.SAMPLER_TRAIN",),
    ),
    Knob(
        "sampling.repeat_small", "DATALOADER.REPEAT_SMALL", "float", "times", Between(1, 10), 1.0,
        "Images of small objects, under 32 x 32 px, come more than once an epoch: this many times if they "
        "have no others, in proportion if some are small. The larger of this and repeat_rare counts.",
        "Augmentation for small object detection, arXiv:1902.07296",
    ),
)
# fmt: on

_BY_NAME = {entry.name: entry for entry in KNOBS}


def knob(name: str) -> Knob:
    """The knob of that name.

    Raises:
        KeyError: There is none.
    """
    return _BY_NAME[name]


def knob_names() -> tuple[str, ...]:
    """All names, in the table's order."""
    return tuple(_BY_NAME)


def knob_rank(name: str) -> int:
    """A knob's place in the table; names that are not in it come last."""
    return _RANKS.get(name, len(_RANKS))


_RANKS = {entry.name: rank for rank, entry in enumerate(KNOBS)}
