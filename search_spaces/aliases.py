"""Other names that people write for a knob: Detectron2 keys, their last words, and invented names."""

from collections.abc import Iterator

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
    tail = normal.rsplit(".", 1)[-1]
    return ALIASES.get(normal) or (ALIASES.get(tail) if tail in _INVENTED else None)


def explain_name(word: str) -> str:
    """The hint for a name that is not a knob.

    Tries, in this order: the knob it stands for, its place elsewhere in a spec, a near knob, and else the
    command that lists them.
    """
    meant = knob_meant(word)
    if meant is not None:
        return f"the knob is {meant}"
    return place_of(word) or did_you_mean(_normal(word), knob_names()) or "`masksweep knobs` lists the knobs"


def place_of(word: str) -> str | None:
    """The hint for what is set outside the space, or set by itself: `fidelity.iterations sets it`."""
    normal = _normal(word)
    place = _ELSEWHERE.get(normal) or _ELSEWHERE.get(normal.rsplit(".", 1)[-1])
    return f"{place} sets it" if place else _DERIVED.get(normal)
