import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from runners.detectron.model import load_weights


class Evil:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


def zoo_file(path: Path, content: object) -> str:
    path.write_bytes(pickle.dumps(content))
    return str(path)


def test_weights_of_another_shape_are_skipped_and_named(tmp_path: Path):
    """What fits is loaded, what does not is a fact of the attempt."""
    weights = {"weight": np.ones((2, 3), np.float32), "bias": np.ones(5, np.float32)}
    path = zoo_file(tmp_path / "model.pkl", {"model": weights, "__author__": "zoo"})
    model = nn.Linear(3, 2)
    assert load_weights(model, path) == ("bias",)
    assert torch.equal(model.weight, torch.ones(2, 3))


def test_pickled_weights_execute_nothing(tmp_path: Path):
    """A pickle that asks for anything but arrays is refused before it runs."""
    marker = tmp_path / "executed"
    path = zoo_file(tmp_path / "model.pkl", {"model": Evil(marker), "__author__": "zoo"})
    with pytest.raises(pickle.UnpicklingError, match="arrays only"):
        load_weights(nn.Linear(3, 2), path)
    assert not marker.exists()


def test_torch_files_execute_nothing(tmp_path: Path):
    """The same for a .pth file."""
    marker = tmp_path / "executed"
    torch.save({"model": Evil(marker)}, tmp_path / "model.pth")
    with pytest.raises(pickle.UnpicklingError):
        load_weights(nn.Linear(3, 2), str(tmp_path / "model.pth"))
    assert not marker.exists()


def test_no_weights_are_no_weights():
    """The empty path leaves a model as it is."""
    assert load_weights(nn.Linear(3, 2), "") == ()
