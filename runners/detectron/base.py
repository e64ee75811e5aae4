"""Whether a spec's base makes a model that trials can train: tried once, before a sweep is created."""

from collections.abc import Iterator

import torch
from torch import nn

from runners.detectron.config import base_config, base_issues, build_config
from runners.detectron.model import build_model, is_deformable
from runners.weights import weights_issue
from search_spaces.issues import SpecIssue
from sweeps.core.spec import SweepSpec


def check_base(spec: SweepSpec, num_classes: int) -> tuple[tuple[SpecIssue, ...], tuple[SpecIssue, ...]]:
    """What is wrong with a spec's base, and what of its config trials do without.

    Args:
        spec: The sweep.
        num_classes: The data set's categories, at least 1.

    Returns:
        Problems of the config, its weights and the model that it makes; and notes.
    """
    issues = base_issues(spec.base)
    if issues:
        return issues, ()
    return tuple(_model_issues(spec, num_classes)), tuple(_unused(spec))


def _unused(spec: SweepSpec) -> Iterator[SpecIssue]:
    cfg = base_config(spec.base)
    sampler = cfg.DATALOADER.SAMPLER_TRAIN
    if sampler not in ("TrainingSampler", "RepeatFactorTrainingSampler"):
        problem = f"DATALOADER.SAMPLER_TRAIN: {sampler} is not used, every image is drawn equally often"
        yield SpecIssue(base_path(spec), problem)
    if cfg.TEST.PRECISE_BN.ENABLED:
        problem = "TEST.PRECISE_BN is not used, models are evaluated with the statistics of their training"
        yield SpecIssue(base_path(spec), problem)
    if cfg.TEST.AUG.ENABLED:
        yield SpecIssue(base_path(spec), "TEST.AUG is not used, models are evaluated on each image once")


def base_path(spec: SweepSpec) -> str:
    """Where the base stands in the spec: `base.zoo`."""
    return next(f"base.{name}" for name in ("preset", "zoo", "file") if getattr(spec.base, name) is not None)


def _model_issues(spec: SweepSpec, num_classes: int) -> Iterator[SpecIssue]:
    if spec.base.weights == "file":
        hint = f"it is the MODEL.WEIGHTS of {spec.base.file}"
        missing = weights_issue(base_config(spec.base).MODEL.WEIGHTS, hint)
        if missing is not None:
            yield missing
    try:
        model = _build(spec, num_classes)
    except Exception as error:  # whatever Detectron2 says to values that do not go together
        text = " ".join(str(error).split())
        problem = f"{type(error).__name__}: {text}" if text else type(error).__name__
        yield SpecIssue(base_path(spec), f"the config makes no model: {problem[:300]}")
        return
    if is_deformable(model):
        yield from _deformable_issues(spec)


def _deformable_issues(spec: SweepSpec) -> Iterator[SpecIssue]:
    problem = "deformable convolutions train on GPUs only"
    if spec.resources.gpus_per_trial == 0:
        hint = "give trials a GPU, or take a config without them"
        yield SpecIssue(base_path(spec), f"{problem}, but resources.gpus_per_trial is 0", hint)
    elif not _compiled_for_gpus():
        hint = "install an official build of Detectron2, or take a config without them"
        yield SpecIssue(base_path(spec), f"{problem}, and this Detectron2 has no code for that", hint)


def _compiled_for_gpus() -> bool:
    try:
        from detectron2 import _C  # noqa: PLC0415 - a build may be without it
    except ImportError:
        return False
    return bool(_C.has_cuda())


def _build(spec: SweepSpec, num_classes: int) -> nn.Module:
    """The base's model as a trial without parameters would have it, for its structure only."""

    def build(device: str) -> nn.Module:
        config = build_config(
            spec, {}, seed=0, output_dir="", num_classes=num_classes, device=device, data=None
        )
        with torch.device(device):
            return build_model(config)

    try:
        return build("meta")  # shapes without memory or random numbers: a tenth of the time
    except Exception:  # an error of the model itself, or of code that computes with its weights
        return build("cpu")
