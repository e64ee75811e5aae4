"""From a trial's parameters to Detectron2 config values; keys that hang together are set here, together."""

import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from search_spaces.knobs import KNOBS, knob_names
from search_spaces.parameters import Value

ConfigValue: TypeAlias = bool | int | float | str | Sequence["ConfigValue"]

BASE_KEYS: tuple[str, ...] = (
    "MODEL.ANCHOR_GENERATOR.SIZES",
    "MODEL.RPN.PRE_NMS_TOPK_TRAIN",
    "MODEL.RPN.PRE_NMS_TOPK_TEST",
    "MODEL.RPN.POST_NMS_TOPK_TRAIN",
    "MODEL.RPN.POST_NMS_TOPK_TEST",
    "INPUT.MIN_SIZE_TRAIN",
    "INPUT.MAX_SIZE_TRAIN",
    "INPUT.MIN_SIZE_TEST",
    "INPUT.MAX_SIZE_TEST",
    "SOLVER.MAX_ITER",
    "SOLVER.STEPS",
    "SOLVER.WARMUP_ITERS",
)
"""Config keys of the base that `config_overrides` reads."""

_CONFIG_VALUES: Mapping[tuple[str, Value], ConfigValue] = {
    ("mask_head.name", "stock"): "MaskRCNNConvUpsampleHead",
    ("mask_head.name", "strided"): "StridedMaskHead",
    ("mask_head.name", "pointrend"): "PointRendMaskHead",
    ("mask_head.norm", "none"): "",
}
"""Knob values that Detectron2 spells otherwise."""

_STRIDED_ONLY = (
    "mask_head.upsample_stride",
    "mask_head.loss",
    "mask_head.mask_iou",
)
_SCHEDULERS: Mapping[Value, str] = {"steps": "WarmupMultiStepLR", "cosine": "WarmupCosineLR"}
_LONGEST_WARMUP = 0.1  # of the iterations
_STEPS_1X = (2 / 3, 8 / 9)  # Detectron's "1x" schedule: 60k and 80k of 90k iterations


def config_overrides(
    params: Mapping[str, Value], base: Mapping[str, ConfigValue], iterations: int
) -> tuple[tuple[str, ConfigValue], ...]:
    """The config values that make a trial out of a base config.

    Args:
        params: The trial's active parameters by knob name.
        base: The base config's values of `BASE_KEYS`.
        iterations: Training iterations at full fidelity, whichever rung the trial reaches.

    Returns:
        (Detectron2 key, value) pairs, each key once. The length of training, its learning rate steps and its
        warm-up are always among them.

    Raises:
        ValueError: A parameter is not a knob.
    """
    unknown = [name for name in params if name not in knob_names()]
    if unknown:
        raise ValueError(f"not a knob: {', '.join(unknown)}")
    values: dict[str, ConfigValue] = {}
    for entry in KNOBS:
        if entry.cfg_key is not None and entry.name in params:
            value = params[entry.name]
            values[entry.cfg_key] = _CONFIG_VALUES.get((entry.name, value), value)
    values |= _mask_head(params)
    values |= _schedule(params, base, iterations)
    values |= _anchors(params, base)
    values |= _proposals(params, base)
    values |= _input_size(params, base)
    values |= _crop(params)
    if "sampling.repeat_rare" in params:
        values["DATALOADER.SAMPLER_TRAIN"] = "RepeatFactorTrainingSampler"
    return tuple(values.items())


def _mask_head(params: Mapping[str, Value]) -> dict[str, ConfigValue]:
    """The head that reads the parameters, where the base's or the stock one would not.

    The strided one at stride 2 is the same net as the stock one.
    """
    name = params.get("mask_head.name")
    if name == "pointrend" or (name is None and any(key.startswith("point_head.") for key in params)):
        return {"MODEL.ROI_MASK_HEAD.NAME": "PointRendMaskHead"}
    if not any(key in params for key in _STRIDED_ONLY):
        return {}
    values: dict[str, ConfigValue] = {"MODEL.ROI_MASK_HEAD.NAME": "StridedMaskHead"}
    if name == "stock":
        values["MODEL.ROI_MASK_HEAD.UPSAMPLE_STRIDE"] = 2
    return values


def _schedule(
    params: Mapping[str, Value], base: Mapping[str, ConfigValue], iterations: int
) -> dict[str, ConfigValue]:
    length = _number(base, "SOLVER.MAX_ITER")
    fractions = [step / length for step in _numbers(base["SOLVER.STEPS"]) if 0 < step < length] or _STEPS_1X
    steps = sorted({round(fraction * iterations) for fraction in fractions})
    warmup = min(int(_number(base, "SOLVER.WARMUP_ITERS")), int(iterations * _LONGEST_WARMUP))
    values: dict[str, ConfigValue] = {
        "SOLVER.MAX_ITER": iterations,
        "SOLVER.STEPS": tuple(step for step in steps if 0 < step < iterations),
        "SOLVER.WARMUP_ITERS": warmup,
    }
    if "solver.schedule" in params:
        values["SOLVER.LR_SCHEDULER_NAME"] = _SCHEDULERS[params["solver.schedule"]]
    return values


def _anchors(params: Mapping[str, Value], base: Mapping[str, ConfigValue]) -> dict[str, ConfigValue]:
    """Every level keeps the same number of sizes, as the RPN's shared head demands.

    Fitted ones depend on the data, which whoever builds the config has.
    """
    preset = params.get("anchors.preset")
    if preset is None or preset == "fitted":
        return {}
    factors = {"default": (1.0,), "small": (0.5,), "large": (2.0,), "dense": (1.0, math.sqrt(2))}[str(preset)]
    sizes = base["MODEL.ANCHOR_GENERATOR.SIZES"]
    levels = sizes if isinstance(sizes, list | tuple) else ()
    scaled = [sorted(size * factor for size in _numbers(level) for factor in factors) for level in levels]
    return {"MODEL.ANCHOR_GENERATOR.SIZES": scaled}


def _proposals(params: Mapping[str, Value], base: Mapping[str, ConfigValue]) -> dict[str, ConfigValue]:
    """Proposals in testing follow those in training; NMS never gets fewer than it is to leave."""
    if "rpn.pre_nms_topk" not in params and "rpn.post_nms_topk" not in params:
        return {}
    values: dict[str, ConfigValue] = {}
    for phase in ("TRAIN", "TEST"):
        counts = {}
        for name, knob_name in (("PRE", "rpn.pre_nms_topk"), ("POST", "rpn.post_nms_topk")):
            in_base = _number(base, f"MODEL.RPN.{name}_NMS_TOPK_{phase}")
            wanted = params.get(knob_name)
            if wanted is not None:
                in_base *= float(wanted) / _number(base, f"MODEL.RPN.{name}_NMS_TOPK_TRAIN")
            counts[name] = max(1, round(in_base))
        values[f"MODEL.RPN.PRE_NMS_TOPK_{phase}"] = max(counts.values())
        values[f"MODEL.RPN.POST_NMS_TOPK_{phase}"] = counts["POST"]
    return values


def _input_size(params: Mapping[str, Value], base: Mapping[str, ConfigValue]) -> dict[str, ConfigValue]:
    """Scales all of the base's sizes by one factor: its aspect limits and its multi-scale training stay."""
    size = params.get("input.size")
    if size is None:
        return {}
    train = _numbers(base["INPUT.MIN_SIZE_TRAIN"])
    # A base with 0 there does not resize in testing.
    factor = float(size) / (_number(base, "INPUT.MIN_SIZE_TEST") or max(train))
    return {
        "INPUT.MIN_SIZE_TRAIN": tuple(max(1, round(side * factor)) for side in train),
        "INPUT.MAX_SIZE_TRAIN": round(_number(base, "INPUT.MAX_SIZE_TRAIN") * factor),
        "INPUT.MIN_SIZE_TEST": int(size),
        "INPUT.MAX_SIZE_TEST": max(int(size), round(_number(base, "INPUT.MAX_SIZE_TEST") * factor)),
    }


def _crop(params: Mapping[str, Value]) -> dict[str, ConfigValue]:
    kept = params.get("augment.crop")
    if kept is None:
        return {}
    return {
        "INPUT.CROP.ENABLED": float(kept) < 1,
        "INPUT.CROP.TYPE": "relative_range",
        "INPUT.CROP.SIZE": [float(kept), float(kept)],
    }


def _number(base: Mapping[str, ConfigValue], key: str) -> float:
    value = base[key]
    if isinstance(value, int | float):
        return value
    raise ValueError(f"the base config's {key} is {value!r}, but a number is needed")


def _numbers(value: ConfigValue) -> list[float]:
    items = value if isinstance(value, list | tuple) else [value]
    return [item for item in items if isinstance(item, int | float)]
