import pytest
import torch
from detectron2.solver import build_optimizer as stock_optimizer
from torch import nn

from runners.detectron.config import masksweep_cfg
from runners.detectron.solver import build_optimizer


def small_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))


def trained(optimizer_of, cfg) -> list[torch.Tensor]:
    model = small_model()
    optimizer = optimizer_of(cfg, model)
    x = torch.randn(16, 4, generator=torch.Generator().manual_seed(1))
    for _ in range(3):
        optimizer.zero_grad()
        (model(x) * 30).square().mean().backward()
        optimizer.step()
    return [parameter.detach() for parameter in model.parameters()]


@pytest.mark.parametrize("clip", [None, "value", "norm"])
def test_sgd_trains_as_detectron2s(clip):
    """Groups, momentum, decay and clipping are those of Detectron2's own optimizer, to rounding."""
    cfg = masksweep_cfg()
    cfg.SOLVER.BASE_LR, cfg.SOLVER.WEIGHT_DECAY, cfg.SOLVER.BIAS_LR_FACTOR = 0.001, 0.1, 2.0
    cfg.SOLVER.CLIP_GRADIENTS.ENABLED = clip is not None
    cfg.SOLVER.CLIP_GRADIENTS.CLIP_TYPE = clip or "value"
    for expected, actual in zip(trained(stock_optimizer, cfg), trained(build_optimizer, cfg), strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-6)


def test_adamw_decays_weights_but_not_norms():
    """AdamW has Detectron2's groups: normalization layers decay by WEIGHT_DECAY_NORM."""
    cfg = masksweep_cfg()
    cfg.SOLVER.OPTIMIZER, cfg.SOLVER.WEIGHT_DECAY = "AdamW", 0.05
    optimizer = build_optimizer(cfg, small_model())
    assert isinstance(optimizer, torch.optim.AdamW)
    groups = sorted((g["weight_decay"], len(g["params"])) for g in optimizer.param_groups)
    assert groups == [(0.0, 2), (0.05, 4)]


def test_an_unknown_optimizer_is_told():
    """A wrong SOLVER.OPTIMIZER names what is allowed."""
    cfg = masksweep_cfg()
    cfg.SOLVER.OPTIMIZER = "Lion"
    with pytest.raises(ValueError, match="'Lion' is not one of SGD, AdamW"):
        build_optimizer(cfg, small_model())
