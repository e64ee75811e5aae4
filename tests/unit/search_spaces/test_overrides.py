"""From parameters to Detectron2 config values."""

import pytest

from search_spaces.overrides import BASE_KEYS, ConfigValue, config_overrides
from search_spaces.parameters import Value

R_50: dict[str, ConfigValue] = {
    "MODEL.ANCHOR_GENERATOR.SIZES": [[32], [64], [128], [256], [512]],
    "MODEL.RPN.PRE_NMS_TOPK_TRAIN": 2000,
    "MODEL.RPN.PRE_NMS_TOPK_TEST": 1000,
    "MODEL.RPN.POST_NMS_TOPK_TRAIN": 1000,
    "MODEL.RPN.POST_NMS_TOPK_TEST": 1000,
    "INPUT.MIN_SIZE_TRAIN": (640, 720, 800),
    "INPUT.MAX_SIZE_TRAIN": 1333,
    "INPUT.MIN_SIZE_TEST": 800,
    "INPUT.MAX_SIZE_TEST": 1333,
    "SOLVER.MAX_ITER": 270000,
    "SOLVER.STEPS": (210000, 250000),
    "SOLVER.WARMUP_ITERS": 1000,
}
"""The base values of the model zoo's mask_rcnn_R_50_FPN_3x."""


def values(params: dict[str, Value], iterations: int = 2700, **base: ConfigValue) -> dict[str, ConfigValue]:
    pairs = config_overrides(
        params, {**R_50, **{key.replace("__", "."): value for key, value in base.items()}}, iterations
    )
    found = dict(pairs)
    assert len(found) == len(pairs)
    return found


def test_the_example_base_has_every_key_that_is_read() -> None:
    """BASE_KEYS names exactly what overrides are computed from."""
    assert set(R_50) == set(BASE_KEYS)


def test_without_parameters_only_the_length_of_training_is_set() -> None:
    """Steps keep their fractions of the base's length; warm-up takes at most a tenth."""
    assert values({}) == {"SOLVER.MAX_ITER": 2700, "SOLVER.STEPS": (2100, 2500), "SOLVER.WARMUP_ITERS": 270}


def test_a_long_training_keeps_the_bases_warmup() -> None:
    """Warm-up is bounded, never stretched."""
    assert values({}, iterations=90000)["SOLVER.WARMUP_ITERS"] == 1000


@pytest.mark.parametrize("iterations", [1, 2, 5])
def test_very_short_trainings_have_steps_inside_them(iterations: int) -> None:
    """No learning rate step falls on the start or after the end."""
    steps = values({}, iterations=iterations)["SOLVER.STEPS"]
    assert isinstance(steps, tuple)
    assert all(0 < step < iterations for step in steps)


def test_a_base_without_usable_steps_gets_those_of_the_1x_schedule() -> None:
    """Steps at or after the base's end say nothing about fractions."""
    assert values({}, iterations=900, SOLVER__STEPS=(300000,))["SOLVER.STEPS"] == (600, 800)


def test_plain_knobs_set_their_key() -> None:
    """Most knobs are one Detectron2 key; `none` is Detectron2's empty norm."""
    found = values(
        {
            "mask_head.norm": "none",
            "mask_head.conv_dim": 64,
            "augment.flip": "vertical",
            "solver.optimizer": "AdamW",
        }
    )
    assert found["MODEL.ROI_MASK_HEAD.NORM"] == ""
    assert found["MODEL.ROI_MASK_HEAD.CONV_DIM"] == 64
    assert found["INPUT.RANDOM_FLIP"] == "vertical"
    assert found["SOLVER.OPTIMIZER"] == "AdamW"


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({"mask_head.upsample_stride": 4}, "StridedMaskHead"),
        ({"mask_head.upsample_stride": 2}, "StridedMaskHead"),
        ({"mask_head.loss_weight": 2.0}, None),
        ({"mask_head.name": "stock", "mask_head.loss_weight": 2.0}, "MaskRCNNConvUpsampleHead"),
        ({"mask_head.loss": "dice"}, "StridedMaskHead"),
        ({"mask_head.name": "stock", "mask_head.loss": "bce"}, "StridedMaskHead"),
        ({"mask_head.mask_iou": True, "mask_head.mask_iou_weight": 0.5}, "StridedMaskHead"),
        ({"mask_head.name": "stock"}, "MaskRCNNConvUpsampleHead"),
        ({"mask_head.name": "strided"}, "StridedMaskHead"),
        ({"mask_head.conv_dim": 64}, None),
        ({"mask_head.name": "pointrend", "mask_head.loss_weight": 2.0}, "PointRendMaskHead"),
        ({"point_head.num_points": 98}, "PointRendMaskHead"),
    ],
)
def test_the_head_that_reads_a_parameter_is_taken_where_the_bases_would_not(
    params: dict[str, Value], name: str | None
) -> None:
    """A stride or a loss selects the head that reads it; else the base's head stays."""
    assert values(params).get("MODEL.ROI_MASK_HEAD.NAME") == name


def test_a_stock_head_keeps_its_stride() -> None:
    """The head that stands in for the stock one upsamples by 2 like it, whatever else is asked for."""
    found = values({"mask_head.name": "stock", "mask_head.upsample_stride": 4})
    assert found["MODEL.ROI_MASK_HEAD.UPSAMPLE_STRIDE"] == 2


@pytest.mark.parametrize(("schedule", "name"), [("steps", "WarmupMultiStepLR"), ("cosine", "WarmupCosineLR")])
def test_schedules_are_detectrons(schedule: str, name: str) -> None:
    """Both schedules warm up."""
    assert values({"solver.schedule": schedule})["SOLVER.LR_SCHEDULER_NAME"] == name


@pytest.mark.parametrize(
    ("preset", "sizes"),
    [
        ("default", [[32], [64], [128], [256], [512]]),
        ("small", [[16], [32], [64], [128], [256]]),
        ("large", [[64], [128], [256], [512], [1024]]),
    ],
)
def test_anchors_are_scaled_from_the_bases(preset: str, sizes: ConfigValue) -> None:
    """The preset fits any number of levels because it starts from the base's own sizes."""
    assert values({"anchors.preset": preset})["MODEL.ANCHOR_GENERATOR.SIZES"] == sizes


def test_dense_anchors_double_the_sizes_of_each_level() -> None:
    """Every level keeps the same count, ascending, also where one level has them all."""
    sizes = values({"anchors.preset": "dense"}, MODEL__ANCHOR_GENERATOR__SIZES=[[32, 64]])[
        "MODEL.ANCHOR_GENERATOR.SIZES"
    ]
    assert isinstance(sizes, list)
    assert [[round(size, 1) for size in level] for level in sizes] == [[32.0, 45.3, 64.0, 90.5]]


def test_proposals_in_testing_keep_the_bases_ratio() -> None:
    """The knob counts proposals in training."""
    found = values({"rpn.pre_nms_topk": 4000})
    assert [found[f"MODEL.RPN.PRE_NMS_TOPK_{phase}"] for phase in ("TRAIN", "TEST")] == [4000, 2000]


def test_nms_gets_at_least_what_it_is_to_leave() -> None:
    """The count before NMS is raised to the count after it, in training and in testing."""
    found = values({"rpn.pre_nms_topk": 200, "rpn.post_nms_topk": 500})
    assert [found[f"MODEL.RPN.PRE_NMS_TOPK_{phase}"] for phase in ("TRAIN", "TEST")] == [500, 500]
    assert [found[f"MODEL.RPN.POST_NMS_TOPK_{phase}"] for phase in ("TRAIN", "TEST")] == [500, 500]


def test_input_size_scales_all_sizes_alike() -> None:
    """Multi-scale training and the limit on the longer side keep their ratio to the shorter side."""
    found = values({"input.size": 400})
    assert {key: value for key, value in found.items() if key.startswith("INPUT")} == {
        "INPUT.MIN_SIZE_TRAIN": (320, 360, 400),
        "INPUT.MAX_SIZE_TRAIN": 666,
        "INPUT.MIN_SIZE_TEST": 400,
        "INPUT.MAX_SIZE_TEST": 666,
    }


def test_input_size_works_where_testing_does_not_resize() -> None:
    """Detectron2's 0 for "do not resize" is no size to divide by."""
    assert values({"input.size": 400}, INPUT__MIN_SIZE_TEST=0)["INPUT.MIN_SIZE_TRAIN"] == (320, 360, 400)


def test_a_crop_of_one_is_off() -> None:
    """Keeping all of a side is no crop."""
    assert values({"augment.crop": 1.0})["INPUT.CROP.ENABLED"] is False
    cropped = values({"augment.crop": 0.6})
    assert [cropped[f"INPUT.CROP.{key}"] for key in ("ENABLED", "TYPE", "SIZE")] == [
        True,
        "relative_range",
        [0.6, 0.6],
    ]


def test_repeating_rare_categories_takes_detectron2s_sampler() -> None:
    """The threshold acts with the sampler of that name only."""
    found = values({"sampling.repeat_rare": 0.01})
    assert found["DATALOADER.SAMPLER_TRAIN"] == "RepeatFactorTrainingSampler"
    assert found["DATALOADER.REPEAT_THRESHOLD"] == 0.01


def test_a_parameter_that_is_no_knob_is_refused() -> None:
    """Nothing that a spec could not name reaches a config."""
    with pytest.raises(ValueError, match=r"not a knob: MODEL\.DEVICE"):
        config_overrides({"MODEL.DEVICE": "cuda"}, R_50, 100)
