"""The optimizer that `SOLVER.OPTIMIZER` names, with Detectron2's parameter groups."""

from detectron2.config import CfgNode
from detectron2.solver.build import get_default_optimizer_params, maybe_add_gradient_clipping
from torch import nn
from torch.optim import SGD, AdamW, Optimizer

OPTIMIZERS = ("SGD", "AdamW")


def build_optimizer(cfg: CfgNode, model: nn.Module) -> Optimizer:
    """An optimizer over the model's trainable parameters.

    Norms and biases get their own weight decay and learning rate as Detectron2's `build_optimizer` does it,
    and gradients are clipped as `SOLVER.CLIP_GRADIENTS` says.

    Raises:
        ValueError: `SOLVER.OPTIMIZER` is not one of OPTIMIZERS.
    """
    solver = cfg.SOLVER
    groups = get_default_optimizer_params(
        model,
        base_lr=solver.BASE_LR,
        weight_decay_norm=solver.WEIGHT_DECAY_NORM,
        bias_lr_factor=solver.BIAS_LR_FACTOR,
        weight_decay_bias=solver.WEIGHT_DECAY_BIAS,
    )
    # A gradient scaler leaves unscaling to a fused optimizer's kernel, after our clipping would have run:
    # with both, the scaled gradients would be clipped.
    fused = not (solver.CLIP_GRADIENTS.ENABLED and solver.AMP.ENABLED)
    match solver.OPTIMIZER:
        case "SGD":
            optimizer: Optimizer = maybe_add_gradient_clipping(cfg, SGD)(
                groups,
                lr=solver.BASE_LR,
                momentum=solver.MOMENTUM,
                nesterov=solver.NESTEROV,
                weight_decay=solver.WEIGHT_DECAY,
                fused=fused,
            )
        case "AdamW":
            optimizer = maybe_add_gradient_clipping(cfg, AdamW)(
                groups, lr=solver.BASE_LR, weight_decay=solver.WEIGHT_DECAY, fused=fused
            )
        case other:
            raise ValueError(f"SOLVER.OPTIMIZER: {other!r} is not one of {', '.join(OPTIMIZERS)}")
    return optimizer
