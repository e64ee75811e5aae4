"""Checkpoints that a killed training goes on from bit by bit, and that stock Detectron2 tools can read.

A checkpoint is a directory `e<epoch>a<attempt>i<iteration>`:

    model.pth       {"model": weights, "iteration": n}: what DetectionCheckpointer loads
    training.pth    optimizer, schedule and random numbers
    config.yaml     the model's Detectron2 config
    contents.json   size and CRC-32 of each file

It is written beside its final place and renamed when all of it is on the disk: what has the name is whole.
"""

import json
import os
import random
import re
import shutil
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

_NAME = re.compile(r"(?:\.tmp-)?e(\d+)a(\d+)i(\d{7,})(?:-\d+)?")
_CONTENTS = "contents.json"


class CheckpointInvalid(Exception):
    """A checkpoint is absent, incomplete or damaged."""


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


def checkpoint_name(epoch: int, attempt: int, iteration: int) -> str:
    """The directory's name; names of one trial sort by age within an attempt."""
    return f"e{epoch}a{attempt}i{iteration:07d}"


def save_checkpoint(directory: Path, name: str, checkpoint: Checkpoint, config: str) -> Path:
    """Writes a checkpoint and returns its directory, which appears all at once; does nothing if it is there.

    Args:
        directory: The trial's directory; made if absent.
        name: From `checkpoint_name`.
        checkpoint: Its content.
        config: YAML.

    Raises:
        OSError: It could not be written.
    """
    final = directory / name
    if final.is_dir():
        return final
    directory.mkdir(parents=True, exist_ok=True)
    temporary = directory / f".tmp-{name}-{os.getpid()}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    torch.save({"model": dict(checkpoint.model), "iteration": checkpoint.iteration}, temporary / "model.pth")
    torch.save(dict(checkpoint.training), temporary / "training.pth")
    (temporary / "config.yaml").write_text(config, encoding="utf-8")
    contents = {path.name: [path.stat().st_size, _crc(path)] for path in sorted(temporary.iterdir())}
    (temporary / _CONTENTS).write_text(json.dumps(contents), encoding="utf-8")
    for path in (*temporary.iterdir(), temporary):
        _sync(path)
    try:
        temporary.rename(final)
    except OSError:
        # Somebody was faster: rename(2) never replaces a directory that has files in it.
        shutil.rmtree(temporary, ignore_errors=True)
        if not final.is_dir():
            raise
    _sync(directory)
    return final


def load_checkpoint(path: Path) -> Checkpoint:
    """Reads a checkpoint; runs no code from it.

    Raises:
        CheckpointInvalid: It is absent, incomplete or damaged.
    """
    try:
        contents: dict[str, list[int]] = json.loads((path / _CONTENTS).read_text(encoding="utf-8"))
        for name, (size, crc) in contents.items():
            if (path / name).stat().st_size != size or _crc(path / name) != crc:
                raise CheckpointInvalid(f"{path}: {name} is damaged")
        model = torch.load(path / "model.pth", map_location="cpu", weights_only=True)
        training = torch.load(path / "training.pth", map_location="cpu", weights_only=True)
        return Checkpoint(model["iteration"], model["model"], training)
    except CheckpointInvalid:
        raise
    except Exception as error:  # json, zip and pickle each have errors of their own for damaged input
        raise CheckpointInvalid(
            f"{path}: no readable checkpoint ({type(error).__name__}: {error})"
        ) from error


def delete_older_checkpoints(directory: Path, *, epoch: int, attempt: int, keep: Iterable[str]) -> None:
    """Deletes the checkpoints, whole or half-written, of this and earlier attempts, but for those named.

    What a later attempt wrote is never touched: this process may be a leftover.
    """
    kept = set(keep)
    for path in directory.iterdir() if directory.is_dir() else ():
        match = _NAME.fullmatch(path.name)
        if match and path.name not in kept and (int(match[1]), int(match[2])) <= (epoch, attempt):
            shutil.rmtree(path, ignore_errors=True)


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


def _crc(path: Path) -> int:
    crc = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            crc = zlib.crc32(block, crc)
    return crc


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
