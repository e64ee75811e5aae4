import random
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from runners.checkpoints import CheckpointInvalid, DiskFull, write_checkpoint
from runners.detectron.checkpoint import (
    Checkpoint,
    random_state,
    read_files,
    restore_random_state,
    write_files,
)

CPU = torch.device("cpu")


def checkpoint(iteration: int = 7) -> Checkpoint:
    return Checkpoint(iteration, {"w": torch.arange(1000.0)}, {"random": random_state(CPU), "lr": 0.1})


def test_a_checkpoint_comes_back_as_it_was_saved(tmp_path: Path):
    """Iteration, weights and training state survive, and the config lies beside them."""
    write_files(tmp_path, checkpoint(), "VERSION: 2\n")
    loaded = read_files(tmp_path)
    assert (loaded.iteration, loaded.training["lr"]) == (7, 0.1)
    assert torch.equal(loaded.model["w"], torch.arange(1000.0))
    assert (tmp_path / "config.yaml").read_text() == "VERSION: 2\n"


def test_random_numbers_go_on_where_they_were(tmp_path: Path):
    """After loading, torch, numpy and Python draw what they would have drawn."""
    write_files(tmp_path, checkpoint(), "")
    expected = torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random()
    restore_random_state(read_files(tmp_path).training["random"], CPU)
    assert (torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random()) == expected


@pytest.mark.parametrize("name", ["model.pth", "training.pth"])
def test_what_torch_cannot_read_is_told(tmp_path: Path, name):
    """Whatever its unpickler makes of it, the error names the checkpoint."""
    write_files(tmp_path, checkpoint(), "")
    (tmp_path / name).write_bytes(b"PK" + (tmp_path / name).read_bytes()[500:])
    with pytest.raises(CheckpointInvalid, match=f"{tmp_path}: no readable checkpoint"):
        read_files(tmp_path)


def test_weights_without_room_are_told_as_that(small_disk: Path):
    """torch says something else: what the disk said comes out all the same, and the disk is free again."""
    large = Checkpoint(7, {"w": torch.zeros(1_000_000)}, {})
    write = partial(write_files, checkpoint=large, config="")
    with pytest.raises(DiskFull, match=f"no room for a checkpoint in {small_disk}/00003"):
        write_checkpoint(small_disk / "00003", "e1a1i0000007", write)
    assert list((small_disk / "00003").iterdir()) == []
