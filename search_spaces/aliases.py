"""Other names that people write for a knob: Detectron2 keys, their last words, and invented names."""

from collections.abc import Iterator
from difflib import get_close_matches

from search_spaces.issues import did_you_mean
from search_spaces.knob_types import Knob
from search_spaces.knobs import KNOBS, knob_names

_INVENTED = {
    "upsample_strides": "mask_head.upsample_stride",
    "deconv_stride": "mask_head.upsample_stride",
    "mask_stride": "mask_head.upsample_stride",
    "stride": "mask_head.upsample_stride",
    "conv_head_dim": "mask_head.conv_dim",
    "conv_dims": "mask_head.conv_dim",
    "head_dim": "mask_head.conv_dim",
    "mask_dim": "mask_head.conv_dim",
    "num_convs": "mask_head.num_conv",
    "mask_resolution": "mask_head.pooler_resolution",
    "pooler_size": "mask_head.pooler_resolution",
    "mask_head": "mask_head.name",
    "mask_loss_weight": "mask_head.loss_weight",
    "mask_loss": "mask_head.loss",
    "loss_mask": "mask_head.loss",
    "dice": "mask_head.loss",
    "dice_loss": "mask_head.loss",
    "boundary_loss": "mask_head.loss",
    "mask_scoring": "mask_head.mask_iou",
    "maskiou": "mask_head.mask_iou",
    "pointrend": "mask_head.name",
    "point_rend": "mask_head.name",
    "train_num_points": "point_head.num_points",
    "lr": "solver.base_lr",
    "learning_rate": "solver.base_lr",
    "wd": "solver.weight_decay",
    "batch": "solver.batch_size",
    "ims_per_batch": "solver.batch_size",
    "optim": "solver.optimizer",
    "scheduler": "solver.schedule",
    "lr_schedule": "solver.schedule",
    "lr_scheduler": "solver.schedule",
    "anchors": "anchors.preset",
    "anchor_sizes": "anchors.preset",
    "sizes": "anchors.preset",
    "anchor_ratios": "anchors.preset",
    "autoanchor": "anchors.preset",
    "pre_nms_top_n": "rpn.pre_nms_topk",
    "post_nms_top_n": "rpn.post_nms_topk",
    "image_size": "input.size",
    "img_size": "input.size",
    "resolution": "input.size",
    "hflip": "augment.flip",
    "horizontal_flip": "augment.flip",
    "flip_prob": "augment.flip",
    "random_crop": "augment.crop",
    "jitter": "augment.scale_jitter",
    "upsample_factor": "mask_head.upsample_stride",
    "upsampling_factor": "mask_head.upsample_stride",
    "num_mask_convs": "mask_head.num_conv",
    "mask_convs": "mask_head.num_conv",
    "randomflip": "augment.flip",
    "randomcrop": "augment.crop",
    "randombrightness": "augment.brightness",
    "randomcontrast": "augment.contrast",
    "randomsaturation": "augment.saturation",
    "resizeshortestedge": "input.size",
    "resizescale": "augment.scale_jitter",
    "lsj": "augment.large_scale_jitter",
    "large_scale_jittering": "augment.large_scale_jitter",
    "rotate": "augment.rotation",
    "random_rotation": "augment.rotation",
    "degrees": "augment.rotation",
    "copypaste": "augment.copy_paste",
    "simple_copy_paste": "augment.copy_paste",
    "repeat_factor": "sampling.repeat_rare",
    "rfs": "sampling.repeat_rare",
    "oversample_thr": "sampling.repeat_rare",
    "oversample_small": "sampling.repeat_small",
}
"""Names of tutorials and other tools."""

_COLORS = "augment.brightness, augment.contrast and augment.saturation"
_SEVERAL = {"colorjitter": _COLORS, "color_jitter": _COLORS}
"""Names of what takes more than one knob."""

_GROUPS = {
    "roi_mask_head": ("mask_head",),
    "rpn": ("rpn",),
    "anchor_generator": ("anchors",),
    "solver": ("solver",),
    "input": ("input", "augment"),
}
"""Parts of Detectron2's config, and the first words of the knobs that set something in them."""

_WITHOUT_KNOBS = frozenset(
    {
        *("backbone", "fpn", "resnets", "proposal_generator", "retinanet", "sem_seg_head", "panoptic_fpn"),
        *(
            "roi_heads",
            "roi_box_head",
            "roi_box_cascade_head",
            "roi_keypoint_head",
            "box_head",
            "keypoint_head",
        ),
        *("model", "datasets", "dataloader", "test"),
    }
)
"""Parts of which no knob sets anything, so that a near name would be one of another part."""

_TOO_SHORT = frozenset({"name", "preset", "size", "enabled", "type"})
"""Last words that say nothing alone."""

_ELSEWHERE = {
    "mask_threshold": "inference.mask_threshold",
    "mask_thresh": "inference.mask_threshold",
    "mask_thresh_test": "inference.mask_threshold",
    "score_threshold": "inference.score_threshold",
    "score_thresh": "inference.score_threshold",
    "score_thresh_test": "inference.score_threshold",
    "model.roi_heads.score_thresh_test": "inference.score_threshold",
    "nms_threshold": "inference.nms_threshold",
    "nms_thresh": "inference.nms_threshold",
    "nms_thresh_test": "inference.nms_threshold",
    "model.roi_heads.nms_thresh_test": "inference.nms_threshold",
    "max_iter": "fidelity.iterations",
    "solver.max_iter": "fidelity.iterations",
    "iterations": "fidelity.iterations",
    "epochs": "fidelity.iterations",
    "model.weights": "base.weights",
    "weights": "base.weights",
    "datasets.train": "dataset.train",
    "datasets.test": "dataset.val",
    "seed": "sampler.seed",
    "n_trials": "budget.trials",
    "num_trials": "budget.trials",
    "num_samples": "budget.trials",
    "timeout": "budget.wall",
}
"""What is no knob but has a place in a spec."""

_DERIVED = {
    "num_classes": "the number of classes is taken from the data set",
    "model.roi_heads.num_classes": "the number of classes is taken from the data set",
    "solver.steps": "learning rate steps follow fidelity.iterations; the knob is solver.schedule",
    "solver.warmup_iters": "warm-up follows fidelity.iterations",
}
"""What nobody has to set."""


def _normal(word: str) -> str:
    return word.strip().lower().replace("-", "_").replace("/", ".")


def _names_of(entry: Knob) -> Iterator[str]:
    """Every tail of the knob's own name and of its Detectron2 keys, and the name with other separators."""
    yield entry.name.replace(".", "_")
    for full in (entry.name, entry.cfg_key, *entry.coupled):
        parts = full.lower().split(".") if full else []
        yield from (".".join(parts[start:]) for start in range(len(parts)))


def _aliases() -> dict[str, str]:
    found: dict[str, set[str]] = {}
    for entry in KNOBS:
        for name in _names_of(entry):
            found.setdefault(name, set()).add(entry.name)
    unique = {name: min(knobs) for name, knobs in found.items() if len(knobs) == 1 and name not in _TOO_SHORT}
    return unique | _INVENTED


ALIASES: dict[str, str] = _aliases()
"""Lower-case name -> knob: its own name, every unambiguous tail of its Detectron2 keys, invented names."""


def knob_meant(word: str) -> str | None:
    """The knob that a Detectron2 key, an invented name or a short name stands for, or None."""
    normal = _normal(word)
    part, tail = _part_and_tail(normal)
    meant = ALIASES.get(normal) or (ALIASES.get(tail) if tail in _INVENTED else None)
    return meant if meant in (ALIASES.get(normal), *_knobs_of(part)) else None


def explain_name(word: str) -> str:
    """The hint for a name that is not a knob.

    Tries, in this order: the knob it stands for, its place elsewhere in a spec, a near knob of the same part
    of the model, and else the command that lists them.
    """
    meant = knob_meant(word)
    if meant is not None:
        return f"the knob is {meant}"
    normal = _normal(word)
    part, tail = _part_and_tail(normal)
    if tail in _SEVERAL:
        return f"the knobs are {_SEVERAL[tail]}"
    place = place_of(word)
    if place is not None:
        return place
    if part not in _GROUPS and part not in _WITHOUT_KNOBS:
        return did_you_mean(normal, knob_names()) or "`masksweep knobs` lists the knobs"
    near = {name.partition(".")[2]: name for name in _knobs_of(part)}
    close = get_close_matches(tail, near, n=1, cutoff=0.6)
    if close:
        return f"did you mean {near[close[0]]}?"
    return "no knob sets it; `masksweep knobs` lists those that there are"


def _part_and_tail(normal: str) -> tuple[str, str]:
    """The last two words of a dotted name: `model.rpn.nms_thresh` is of the part `rpn`."""
    before, _, tail = normal.rpartition(".")
    return before.rpartition(".")[2], tail


def _knobs_of(part: str) -> tuple[str, ...]:
    """The knobs that a name may mean if it is written as one of that part: all, where it is no part."""
    if part in _WITHOUT_KNOBS:
        return ()
    groups = _GROUPS.get(part)
    return tuple(name for name in knob_names() if groups is None or name.partition(".")[0] in groups)


def place_of(word: str) -> str | None:
    """The hint for what is set outside the space, or set by itself: `fidelity.iterations sets it`."""
    normal = _normal(word)
    part, tail = _part_and_tail(normal)
    alone = part in ("roi_heads", "test") or (part not in _GROUPS and part not in _WITHOUT_KNOBS)
    place = _ELSEWHERE.get(normal) or (_ELSEWHERE.get(tail) if alone else None)
    return f"{place} sets it" if place else _DERIVED.get(normal)
