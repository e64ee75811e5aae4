"""Models that were kept: built from their own config and weights, whatever the data is today."""

from pathlib import Path

import torch
from detectron2.config import CfgNode
from torch import nn

from runners.detectron import pointrend
from runners.detectron.config import masksweep_cfg
from runners.detectron.model import build_model


def load_kept(config: Path, weights: Path, device: str) -> tuple[CfgNode, nn.Module]:
    """The frozen config and the model of a checkpoint, in evaluation mode; runs no code from it.

    Args:
        config: Its `config.yaml`.
        weights: Its `model.pth`.
        device: `cpu`, `cuda` or `cuda:<n>`.

    Raises:
        OSError: A file cannot be read.
        ValueError: The weights are not those of the config's model.
    """
    cfg = masksweep_cfg()
    cfg.merge_from_file(str(config), allow_unsafe=False)
    pointrend.complete(cfg)
    cfg.MODEL.DEVICE = device
    cfg.freeze()
    model = build_model(cfg)
    content = torch.load(weights, map_location="cpu", weights_only=True)
    try:
        model.load_state_dict(content["model"], strict=True)
    except (KeyError, RuntimeError) as error:
        said = " ".join(str(error).split())[:200]
        raise ValueError(f"{weights}: these are not the weights of the model in {config}: {said}") from error
    model.eval()
    return cfg, model
