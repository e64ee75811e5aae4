"""What happens between two training iterations: the loss curve, the learning rate, and when to stop."""

import math
import os
import time
from collections.abc import Mapping
from typing import Any

from detectron2.engine import HookBase
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from sweeps.core.trial import CurvePoint

PAUSE_CHECK_S = 0.2


class LossCurve(HookBase):  # type: ignore[misc]  # detectron2 is untyped
    """Means of the losses over every `every` iterations, with the learning rate of the last of them.

    Attributes:
        points: What was gathered since `take`.
    """

    def __init__(self, optimizer: Optimizer, every: int) -> None:
        self._optimizer = optimizer
        self._every = every
        self._sums: dict[str, float] = {}
        self._count = 0
        self.points: list[CurvePoint] = []

    def after_step(self) -> None:
        """Adds this iteration's losses."""
        losses: Mapping[str, float] = self.trainer.losses
        for name, value in losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._count += 1
        iteration = self.trainer.iter + 1
        if iteration % self._every == 0:
            values = {name: total / self._count for name, total in self._sums.items()}
            values["total_loss"] = math.fsum(values.values())
            values["lr"] = self._optimizer.param_groups[0]["lr"]
            self.points.append(CurvePoint(iteration=iteration, at=time.time(), values=values))
            self._sums, self._count = {}, 0

    def take(self) -> tuple[CurvePoint, ...]:
        """The points since the last call."""
        points, self.points = tuple(self.points), []
        return points

    def state_dict(self) -> dict[str, Any]:
        """The half-filled mean: a resumed curve goes on as if nothing had happened."""
        return {"sums": dict(self._sums), "count": self._count}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Puts `state_dict` back."""
        self._sums, self._count = dict(state["sums"]), state["count"]


class LearningRate(HookBase):  # type: ignore[misc]  # detectron2 is untyped
    """Steps the schedule after each iteration."""

    def __init__(self, schedule: LRScheduler) -> None:
        self._schedule = schedule

    def after_step(self) -> None:
        """Sets the next iteration's learning rate."""
        self._schedule.step()


class PauseFile:
    """The pause file, looked for at most every PAUSE_CHECK_S seconds: it may be on a network disk."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._next_check = 0.0

    def appeared(self) -> bool:
        """The file system's answer, or False if it was asked a moment ago."""
        now = time.monotonic()
        if now < self._next_check:
            return False
        self._next_check = now + PAUSE_CHECK_S
        return os.path.exists(self._path)
