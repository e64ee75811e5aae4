"""Detectron2's training loop, in stretches that end at an iteration, at a point in time, or on a pause."""

import math
import random
import time
from collections.abc import Iterator, Mapping
from enum import Enum, auto
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.engine import AMPTrainer, SimpleTrainer
from detectron2.solver import build_lr_scheduler
from detectron2.utils.events import EventStorage
from torch import nn

from runners.detectron.checkpoint import Checkpoint, random_state, restore_random_state
from runners.detectron.hooks import LearningRate, LossCurve, PauseFile
from runners.detectron.solver import build_optimizer
from runners.stall import move
from sweeps.core.trial import CurvePoint


class Stop(Enum):
    """Why a stretch of training ended."""

    REACHED = auto()  # the iteration asked for
    DEADLINE = auto()  # time for a checkpoint
    PAUSED = auto()  # the pause file appeared


class Trainer:
    """One model in training.

    The loop is Detectron2's SimpleTrainer, or AMPTrainer where `SOLVER.AMP.ENABLED`; the rest are hooks.
    """

    def __init__(self, cfg: CfgNode, model: nn.Module, *, curve_every: int, pause_file: str) -> None:
        """Prepares the optimizer, the schedule and the hooks; `feed` and `train` come next.

        Args:
            cfg: A frozen config.
            model: On its device, with its starting weights.
            curve_every: Iterations between two points of the loss curve.
            pause_file: Its appearing ends a stretch.
        """
        self.model = model
        self._device = torch.device(cfg.MODEL.DEVICE)
        self._optimizer = build_optimizer(cfg, model)
        self._schedule = build_lr_scheduler(cfg, self._optimizer)
        self._curve = LossCurve(self._optimizer, curve_every)
        self._pause = PauseFile(pause_file)
        self._feed = _Feed()
        self._loop = (_AMPLoop if cfg.SOLVER.AMP.ENABLED else _Loop)(model, self._feed, self._optimizer)
        self._loop.register_hooks([self._curve, LearningRate(self._schedule)])
        self.iteration = 0
        self.first_iteration_at: float | None = None

    def feed(self, batches: Iterator[list[dict[str, Any]]]) -> None:
        """Sets where the batches come from, starting with that of iteration `self.iteration`."""
        self._feed.source = batches

    def train(self, until: int, *, deadline: float) -> Stop:
        """Trains up to iteration `until`, to the deadline on `time.monotonic`'s clock, or to a pause.

        At least one iteration is done before the deadline counts.

        Raises:
            FloatingPointError: A loss became infinite or NaN.
        """
        self.model.train()
        loop = self._loop
        with EventStorage(self.iteration) as loop.storage:
            while self.iteration < until:
                if self._pause.appeared():
                    return Stop.PAUSED
                loop.iter = self.iteration
                loop.before_step()
                loop.run_step()
                loop.after_step()
                self.iteration += 1
                move()
                now = time.monotonic()
                if self.first_iteration_at is None:
                    self.first_iteration_at = now
                if now >= deadline and self.iteration < until:
                    return Stop.DEADLINE
        return Stop.REACHED

    def take_curve(self) -> tuple[CurvePoint, ...]:
        """The loss points since the last call."""
        return self._curve.take()

    def checkpoint(self) -> Checkpoint:
        """All that the rest of the training depends on, in live tensors: save before training on."""
        training = {
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "curve": self._curve.state_dict(),
            "random": random_state(self._device),
        }
        if isinstance(self._loop, _AMPLoop):
            training["grad_scaler"] = self._loop.grad_scaler.state_dict()
        return Checkpoint(self.iteration, self.model.state_dict(), training)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Takes up where `checkpoint` was taken; on a CPU, bit by bit.

        Raises:
            RuntimeError: The checkpoint is of another model.
        """
        training: Mapping[str, Any] = checkpoint.training
        self.model.load_state_dict(dict(checkpoint.model))
        self._optimizer.load_state_dict(training["optimizer"])
        self._schedule.load_state_dict(training["schedule"])
        self._curve.load_state_dict(training["curve"])
        if isinstance(self._loop, _AMPLoop) and "grad_scaler" in training:
            self._loop.grad_scaler.load_state_dict(training["grad_scaler"])
        restore_random_state(training["random"], self._device)
        self.iteration = checkpoint.iteration


def seed_everything(seed: int) -> None:
    """Seeds Python's, numpy's and torch's generators (CUDA's too)."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


class _Feed:
    """A data loader whose batches come from elsewhere: a loop takes its loader before there is a batch."""

    source: Iterator[list[dict[str, Any]]]

    def __iter__(self) -> "_Feed":
        return self

    def __next__(self) -> list[dict[str, Any]]:
        return next(self.source)


class _FiniteLosses:
    """Takes all losses off the device in one transfer; stock loops read them one by one."""

    losses: Mapping[str, float]

    def _write_metrics(self, loss_dict: Mapping[str, torch.Tensor], *_: Any, **__: Any) -> None:
        values = torch.stack([loss.detach().float() for loss in loss_dict.values()]).tolist()
        self.losses = dict(zip(loss_dict, values, strict=True))
        if not math.isfinite(sum(values)):
            raise FloatingPointError(f"the loss became infinite or NaN: {self.losses}")


class _Loop(_FiniteLosses, SimpleTrainer):  # type: ignore[misc]  # detectron2 is untyped
    pass


class _AMPLoop(_FiniteLosses, AMPTrainer):  # type: ignore[misc]  # detectron2 is untyped
    pass
