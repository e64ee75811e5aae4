import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from runners.detectron.config import build_config
from runners.detectron.model import WeightsDoNotFit, build_model, load_weights
from sweeps.testing import make_spec


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


@pytest.mark.parametrize("author", ["zoo", None])
def test_weights_of_another_model_are_refused(tmp_path: Path, author):
    """A file of which nothing fits is no silent start from scratch; names of both sides tell why."""
    weights = {f"layer{n}.weight": np.ones(7, np.float32) for n in range(5)}
    path = zoo_file(tmp_path / "model.pkl", {"model": weights, "__author__": author} if author else weights)
    with pytest.raises(WeightsDoNotFit) as caught:
        load_weights(nn.Linear(3, 2), path)
    assert str(caught.value) == (
        "no weight in the file fits the model: it holds layer0.weight, layer1.weight, layer2.weight"
        " and 2 more, and the model has weight, bias"
    )


def test_pickled_weights_execute_nothing(tmp_path: Path):
    """A pickle that asks for anything but arrays is refused before it runs."""
    marker = tmp_path / "executed"
    path = zoo_file(tmp_path / "model.pkl", {"model": Evil(marker), "__author__": "zoo"})
    with pytest.raises(WeightsDoNotFit, match=r"arrays only, but the file asks for (pathlib|builtins)\."):
        load_weights(nn.Linear(3, 2), path)
    assert not marker.exists()


@pytest.mark.parametrize(("name", "key"), [("model.pth", "model"), ("model.pyth", "model_state")])
def test_torch_files_execute_nothing(tmp_path: Path, name, key):
    """The same for files of torch."""
    marker = tmp_path / "executed"
    torch.save({key: Evil(marker)}, tmp_path / name)
    with pytest.raises(WeightsDoNotFit, match=r"^weights may hold arrays only, but the file asks for \S+$"):
        load_weights(nn.Linear(3, 2), str(tmp_path / name))
    assert not marker.exists()


WEIGHTS = {"weight": np.ones((2, 3), np.float32), "bias": np.zeros(2, np.float32)}


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("content", [{"model": WEIGHTS, "__author__": "zoo"}, {"blobs": WEIGHTS}, WEIGHTS])
def test_every_pickle_protocol_is_read(tmp_path: Path, protocol, content):
    """Arrays come from any numpy and any protocol, in the zoo's form and in Caffe2's."""
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(content, protocol=protocol))
    model = nn.Linear(3, 2)
    assert load_weights(model, str(tmp_path / "model.pkl")) == ()
    assert torch.equal(model.weight, torch.ones(2, 3))


@pytest.mark.parametrize(
    ("name", "key"), [("model.pyth", "model_state"), ("model.pth", "model"), ("model.pt", None)]
)
def test_files_of_torch_are_read(tmp_path: Path, name, key):
    """pycls's, Detectron2's, and a bare state_dict."""
    state = {key: torch.from_numpy(value) for key, value in WEIGHTS.items()}
    torch.save({key: state} if key else state, tmp_path / name)
    model = nn.Linear(3, 2)
    assert load_weights(model, str(tmp_path / name)) == ()
    assert torch.equal(model.weight, torch.ones(2, 3))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"state_dict": {"weight": torch.ones(1)}, "epoch": 3}, r"mappings in it: state_dict\)"),
        ([1, 2], "but the file holds list"),
    ],
)
def test_files_that_hold_no_weights_by_name_are_refused(tmp_path: Path, content, told):
    """A checkpoint of another program says what it is made of instead."""
    torch.save(content, tmp_path / "model.pth")
    with pytest.raises(WeightsDoNotFit, match=told):
        load_weights(nn.Linear(3, 2), str(tmp_path / "model.pth"))


def test_a_page_that_was_saved_as_weights_is_refused(tmp_path: Path):
    """A file of another kind is said to be one, in a line."""
    (tmp_path / "model.pth").write_text("<html>not found</html>")
    with pytest.raises(WeightsDoNotFit, match=r"^the file holds no weights: .+$"):
        load_weights(nn.Linear(3, 2), str(tmp_path / "model.pth"))


def test_no_weights_are_no_weights():
    """The empty path leaves a model as it is."""
    assert load_weights(nn.Linear(3, 2), "") == ()


@pytest.mark.parametrize(("name", "deformable"), [("1x_dconv_c3-c5", True), ("3x_gn", False)])
def test_deformable_convolutions_keep_their_layout(name, deformable):
    """Detectron2's compiled kernels read contiguous weights; other models are in channels_last."""
    base = {"zoo": f"Misc/mask_rcnn_R_50_FPN_{name}.yaml", "weights": "none"}
    cfg = build_config(make_spec(base=base), {}, seed=0, output_dir="", num_classes=3, device="meta")
    weights = [p for p in build_model(cfg).parameters() if p.dim() == 4 and min(p.shape) > 1]
    assert {weight.is_contiguous() for weight in weights} == {deformable}
