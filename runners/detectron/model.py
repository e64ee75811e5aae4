"""Builds a model from a config and loads its starting weights without running code from them."""

import logging
import pickle
from pathlib import Path
from typing import Any, NoReturn

import detectron2.modeling
import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import CfgNode
from torch import nn

import runners.detectron.backbone
import runners.detectron.heads
import runners.detectron.pointrend  # noqa: F401  # all three register themselves


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
    # The layout that convolutions want, on CPUs and with half precision on GPUs.
    return model.to(memory_format=torch.channels_last)


def load_weights(model: nn.Module, path: str) -> tuple[str, ...]:
    """Loads weights by name, as Detectron2 does, and returns the file's keys whose shape did not fit.

    Args:
        model: Changed in place.
        path: A file, a URL, or a `detectron2://` address; the empty string loads nothing.

    Raises:
        OSError: It cannot be read or downloaded.
        pickle.UnpicklingError: A file holds something else than arrays.
    """
    if not path:
        return ()
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
        if Path(filename).suffix in (".pkl", ".pyth"):
            with Path(filename).open("rb") as file:
                data: Any = _ArrayUnpickler(file, encoding="latin1").load()
            if "model" in data and "__author__" in data:
                return dict(data)
            data = data.get("model_state", data.get("blobs", data))
            kept = {name: value for name, value in data.items() if not name.endswith("_momentum")}
            return {"model": kept, "__author__": "Caffe2", "matching_heuristics": True}
        loaded: dict[str, Any] = super()._load_file(filename)
        return loaded

    def _log_incompatible_keys(self, incompatible: Any) -> None:
        self.skipped = tuple(sorted(name for name, *_ in incompatible.incorrect_shapes))


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
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "scalar"),
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in self._ALLOWED:
            return super().find_class(module, name)
        return self._refuse(f"{module}.{name}")

    @staticmethod
    def _refuse(name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"weights may hold arrays only, but the file asks for {name}")
