import random
from pathlib import Path

import numpy as np
import pytest
import torch

from runners.detectron.checkpoint import (
    Checkpoint,
    CheckpointInvalid,
    checkpoint_name,
    delete_older_checkpoints,
    load_checkpoint,
    random_state,
    restore_random_state,
    save_checkpoint,
)

CPU = torch.device("cpu")


def checkpoint(iteration: int = 7) -> Checkpoint:
    return Checkpoint(iteration, {"w": torch.arange(1000.0)}, {"random": random_state(CPU), "lr": 0.1})


def test_a_checkpoint_comes_back_as_it_was_saved(tmp_path: Path):
    """Iteration, weights and training state survive, and the config lies beside them."""
    path = save_checkpoint(tmp_path, checkpoint_name(1, 2, 7), checkpoint(), "VERSION: 2\n")
    loaded = load_checkpoint(path)
    assert path.name == "e1a2i0000007"
    assert (loaded.iteration, loaded.training["lr"]) == (7, 0.1)
    assert torch.equal(loaded.model["w"], torch.arange(1000.0))
    assert (path / "config.yaml").read_text() == "VERSION: 2\n"


def test_random_numbers_go_on_where_they_were(tmp_path: Path):
    """After loading, torch, numpy and Python draw what they would have drawn."""
    path = save_checkpoint(tmp_path, checkpoint_name(1, 1, 7), checkpoint(), "")
    expected = torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random()
    restore_random_state(load_checkpoint(path).training["random"], CPU)
    assert (torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random()) == expected


def test_saving_twice_keeps_the_first(tmp_path: Path):
    """A repeated save under one name changes nothing and leaves no scraps."""
    name = checkpoint_name(1, 1, 7)
    save_checkpoint(tmp_path, name, checkpoint(7), "first")
    path = save_checkpoint(tmp_path, name, checkpoint(7), "second")
    assert (path / "config.yaml").read_text() == "first"
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["model.pth", "training.pth", "config.yaml", "contents.json"])
def test_a_truncated_or_missing_file_is_told(tmp_path: Path, name):
    """No part of a checkpoint may be cut short or absent."""
    path = save_checkpoint(tmp_path, checkpoint_name(1, 1, 7), checkpoint(), "VERSION: 2\n")
    content = (path / name).read_bytes()
    (path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointInvalid, match=str(path)):
        load_checkpoint(path)
    (path / name).unlink()
    with pytest.raises(CheckpointInvalid, match=str(path)):
        load_checkpoint(path)


def test_a_flipped_bit_is_told(tmp_path: Path):
    """Weights that are not those that were saved are not trained on."""
    path = save_checkpoint(tmp_path, checkpoint_name(1, 1, 7), checkpoint(), "")
    content = bytearray((path / "model.pth").read_bytes())
    content[len(content) // 2] ^= 1
    (path / "model.pth").write_bytes(content)
    with pytest.raises(CheckpointInvalid, match=r"model\.pth is damaged"):
        load_checkpoint(path)


def test_only_this_and_earlier_attempts_lose_checkpoints(tmp_path: Path):
    """Named ones, later attempts and strange files stay; half-written ones of old attempts go."""
    mine, kept, later = checkpoint_name(2, 1, 10), checkpoint_name(2, 1, 20), checkpoint_name(2, 2, 20)
    for name in (mine, kept, later, checkpoint_name(1, 3, 5), ".tmp-e1a3i0000009-77", "notes"):
        (tmp_path / name).mkdir()
    delete_older_checkpoints(tmp_path, epoch=2, attempt=1, keep=[kept])
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [kept, later, "notes"]
