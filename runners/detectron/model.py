"""Builds a model from a config and loads its starting weights without running code from them."""

import logging
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import detectron2.modeling
import numpy as np
import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import CfgNode
from detectron2.layers import DeformConv, ModulatedDeformConv
from torch import nn

import runners.detectron.backbone
import runners.detectron.heads
import runners.detectron.pointrend  # noqa: F401  # all three register themselves
from runners.regular_files import open_regular, require_regular
from sweeps.core.weight_addresses import address_problem, is_address

_EXAMPLES = 3  # names of weights in a message
_FOREIGN = "weights may hold arrays only, but the file asks for {}"


def build_model(cfg: CfgNode) -> nn.Module:
    """The model that a config describes, on its device, with random weights.

    `MODEL.ROI_MASK_HEAD.LOSS_WEIGHT` goes to whichever mask head it has: Detectron2's heads know a
    `loss_weight` but read none from the config.

    Raises:
        Exception: Whatever Detectron2 raises for a config that makes no model.
    """
    model: nn.Module = detectron2.modeling.build_model(cfg)
    mask_head = getattr(getattr(model, "roi_heads", None), "mask_head", None)
    if mask_head is not None and hasattr(mask_head, "loss_weight"):
        mask_head.loss_weight = cfg.MODEL.ROI_MASK_HEAD.LOSS_WEIGHT
    if is_deformable(model):
        return model  # Detectron2's kernels take the weights' memory for contiguous, whatever it is
    # The layout that convolutions want, on CPUs and with half precision on GPUs.
    return model.to(memory_format=torch.channels_last)


def is_deformable(model: nn.Module) -> bool:
    """Whether a model has deformable convolutions, which only Detectron2's compiled CUDA code trains."""
    return any(isinstance(module, DeformConv | ModulatedDeformConv) for module in model.modules())


class WeightsDoNotFit(Exception):
    """A weights file was read, and is none that this model could start from: it never will be."""


def load_weights(model: nn.Module, path: str) -> tuple[str, ...]:
    """Loads weights by name, as Detectron2 does, and returns the file's keys whose shape did not fit.

    Args:
        model: Changed in place.
        path: A file, a URL, or a `detectron2://` address; the empty string loads nothing.

    Raises:
        OSError: It cannot be read or downloaded.
        WeightsDoNotFit: It holds something else than arrays, or nothing that fits the model, or its address
            would lead out of where downloads are kept.
    """
    if not path:
        return ()
    if not is_address(path):
        require_regular(path)
    elif wrong := address_problem(path):  # asked again where it is fetched, whoever named it
        raise WeightsDoNotFit(f"weights: {wrong[0]}")
    checkpointer = _ArraysOnlyCheckpointer(model)
    checkpointer.load(path, checkpointables=[])
    return checkpointer.skipped


class _ArraysOnlyCheckpointer(DetectionCheckpointer):  # type: ignore[misc]  # detectron2 is untyped
    """Reads pickled weights with an unpickler that knows arrays only, and keeps the skipped keys."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model, save_to_disk=False)
        self.logger = logging.getLogger("masksweep.weights")
        self.logger.setLevel(logging.ERROR)  # a mismatch is told as a fact of the attempt
        self.skipped: tuple[str, ...] = ()

    def _load_file(self, filename: str) -> dict[str, Any]:
        suffix = Path(filename).suffix
        try:
            if suffix == ".pkl":
                with open_regular(filename) as file:
                    data: Any = _ArrayUnpickler(file, encoding="latin1").load()
            else:
                with open_regular(filename) as file:
                    data = torch.load(file, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            raise WeightsDoNotFit(_refusal(str(error))) from error
        match suffix, data:
            case ".pkl", {"model": dict(), "__author__": _}:  # Detectron2's zoo
                return dict(data)
            case ".pkl", {"blobs": dict(blobs)}:  # Detectron1's
                return _guessed(blobs, "Caffe2", leave_out="_momentum")
            case ".pkl", dict():  # Caffe2's ImageNet models
                return _guessed(data, "Caffe2", leave_out="_momentum")
            case ".pyth", {"model_state": dict(state)}:  # pycls's
                return _guessed(state, "pycls", leave_out="num_batches_tracked")
            case ".pyth", _:
                raise WeightsDoNotFit(f"a .pyth file has model_state in it, but this one has {_keys(data)}")
            case _, {"model": dict()}:  # Detectron2's own
                return dict(data)
            case _, dict():
                return {"model": dict(data)}
            case _:
                raise WeightsDoNotFit(f"weights are arrays by name, but the file holds {_keys(data)}")

    def _load_model(self, checkpoint: Any) -> Any:
        if not all(isinstance(value, torch.Tensor | np.ndarray) for value in checkpoint["model"].values()):
            names = [name for name, value in checkpoint["model"].items() if isinstance(value, Mapping)]
            hint = f" (mappings in it: {_examples(names)})" if names else ""
            raise WeightsDoNotFit(f"weights are arrays by name, but the file holds other values{hint}")
        held, wanted = list(checkpoint["model"]), list(self.model.state_dict())
        fitting: set[str] = set()

        def note(_: nn.Module, state: dict[str, Any], *__: Any) -> None:
            """Sees the weights once they have the model's names, and without those of another shape."""
            fitting.update(state.keys() & set(wanted))

        handle = self.model.register_load_state_dict_pre_hook(note)
        try:
            incompatible = super()._load_model(checkpoint)
        finally:
            handle.remove()
        if not fitting:
            raise WeightsDoNotFit(
                f"no weight in the file fits the model: it holds {_examples(held)},"
                f" and the model has {_examples(wanted)}"
            )
        return incompatible

    def _log_incompatible_keys(self, incompatible: Any) -> None:
        self.skipped = tuple(sorted(name for name, *_ in incompatible.incorrect_shapes))


def _examples(names: list[str]) -> str:
    """`stem.conv1.weight, stem.conv1.bias, res2.0.conv1.weight and 283 more`."""
    if not names:
        return "nothing"
    more = f" and {len(names) - _EXAMPLES} more" if len(names) > _EXAMPLES else ""
    return ", ".join(map(str, names[:_EXAMPLES])) + more


def _guessed(state: Mapping[str, Any], author: str, *, leave_out: str) -> dict[str, Any]:
    """Weights whose names are matched by heuristics, as Detectron2 asks for it."""
    kept = {name: value for name, value in state.items() if not name.endswith(leave_out)}
    return {"model": kept, "__author__": author, "matching_heuristics": True}


def _keys(data: object) -> str:
    return _examples(list(data)) if isinstance(data, Mapping) else type(data).__name__


def _refusal(message: str) -> str:
    """What an unpickler objects to, without torch's advice to switch its care off."""
    _, found, name = message.partition("Unsupported global: GLOBAL ")
    if found:
        return _FOREIGN.format(name.split()[0])
    words = message.rpartition("WeightsUnpickler error: ")[2].partition("Check the documentation")[0].split()
    return f"the file holds no weights: {' '.join(words)[:200]}"


class _ArrayUnpickler(pickle.Unpickler):
    """Source: https://docs.python.org/3/library/pickle.html#restricting-globals."""

    _ALLOWED = frozenset(
        {
            ("_codecs", "encode"),
            ("collections", "OrderedDict"),
            ("numpy", "dtype"),
            ("numpy", "ndarray"),
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy.core.multiarray", "scalar"),
            ("numpy.core.numeric", "_frombuffer"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy._core.numeric", "_frombuffer"),
            ("numpy._core.multiarray", "scalar"),
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in self._ALLOWED:
            return super().find_class(module, name)
        return self._refuse(f"{module}.{name}")

    @staticmethod
    def _refuse(name: str) -> NoReturn:
        raise pickle.UnpicklingError(_FOREIGN.format(name))
