"""What is in a checkpoint that a killed training goes on from bit by bit, and that stock Detectron2 can read.

    model.pth       {"model": weights, "iteration": n}: what DetectionCheckpointer loads
    training.pth    optimizer, schedule and random numbers
    config.yaml     the model's Detectron2 config

`runners.checkpoints` keeps such directories.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from runners.checkpoints import unreadable


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a training goes on from.

    Attributes:
        iteration: Iterations done.
        model: The model's `state_dict()`.
        training: States of optimizer, schedule and the like, by name: tensors and plain Python values only.
    """

    iteration: int
    model: Mapping[str, torch.Tensor]
    training: Mapping[str, Any]


def write_files(directory: Path, checkpoint: Checkpoint, config: str) -> None:
    """Writes a checkpoint's files into a directory.

    Args:
        directory: An empty one.
        checkpoint: Its content.
        config: YAML.

    Raises:
        OSError: They could not be written.
    """
    _save({"model": dict(checkpoint.model), "iteration": checkpoint.iteration}, directory / "model.pth")
    _save(dict(checkpoint.training), directory / "training.pth")
    (directory / "config.yaml").write_text(config, encoding="utf-8")


def read_files(directory: Path) -> Checkpoint:
    """Reads a checkpoint; runs no code from it.

    Raises:
        CheckpointInvalid: It cannot be read.
    """
    try:
        model = torch.load(directory / "model.pth", map_location="cpu", weights_only=True)
        training = torch.load(directory / "training.pth", map_location="cpu", weights_only=True)
        return Checkpoint(model["iteration"], model["model"], training)
    except MemoryError:
        raise
    except Exception as error:  # zip and pickle each have errors of their own for damaged input
        raise unreadable(directory, error) from error


def _save(content: dict[str, Any], path: Path) -> None:
    """As `torch.save(path)` does, which writes from C++ and hides what the disk said."""
    with path.open("wb") as file:
        torch.save(content, file)


def random_state(device: torch.device) -> dict[str, Any]:
    """The states of torch's, numpy's and Python's generators as tensors and plain values."""
    kind, keys, *rest = np.random.get_state()
    state: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "numpy": [kind, torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest],
        "python": random.getstate(),
    }
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def restore_random_state(state: Mapping[str, Any], device: torch.device) -> None:
    """Puts the generators back to where `random_state` found them."""
    torch.set_rng_state(state["torch"])
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))
    random.setstate(state["python"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)
