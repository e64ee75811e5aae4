"""What a model costs in use: time an image, memory, parameters."""

import itertools
import time
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

MB = 1_000_000
MILLION = 1_000_000


class CostMeter:
    """Takes the cost of a model's inference while it is done.

    Args:
        model: Whose parameters are on one device.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._device = next(itertools.chain(model.parameters(), model.buffers())).device
        self._batches: list[tuple[float, int]] = []
        self._peak_bytes: int | None = None

    @contextmanager
    def batch(self, images: int) -> Iterator[None]:
        """Times the inference of that many images, all that a GPU still has to do included."""
        self._synchronize()
        started = time.perf_counter()
        yield
        self._synchronize()
        self._batches.append((time.perf_counter() - started, images))

    @contextmanager
    def memory(self) -> Iterator[None]:
        """Measures the peak of memory; of several times the highest counts. Do not time what is inside.

        On a CPU an operator takes several times as long inside, as each one's tensors are looked at. On other
        devices than CPUs and CUDA GPUs nothing is measured.
        """
        match self._device.type:
            case "cuda":
                torch.cuda.reset_peak_memory_stats(self._device)
                before = torch.cuda.memory_allocated(self._device)
                yield
                peak = torch.cuda.max_memory_allocated(self._device) - before
            case "cpu":
                with TensorMemory() as tensors:
                    yield
                peak = tensors.peak
            case _:
                yield
                return
        self._peak_bytes = max(self._peak_bytes or 0, peak)

    def metrics(self) -> dict[str, float]:
        """What was measured.

        `latency/ms_per_image` and `latency/ms_per_image_p90`: median and 90th percentile over the images, of
        each its share of its batch's time. The first batch, in which everything is cold, is left out unless
        it is the only one. `memory/peak_mb`: the model's weights and the most that inference added to them,
        in MB of 1,000,000 bytes. `model/parameters`: in millions, trainable and frozen.
        """
        metrics = {"model/parameters": sum(p.numel() for p in self._model.parameters()) / MILLION}
        warm = self._batches[1:] or self._batches
        if warm:
            per_image = np.repeat([s * 1000 / n for s, n in warm], [n for _, n in warm])
            metrics["latency/ms_per_image"] = float(np.median(per_image))
            metrics["latency/ms_per_image_p90"] = float(np.percentile(per_image, 90))
        if self._peak_bytes is not None:
            metrics["memory/peak_mb"] = (_weight_bytes(self._model) + self._peak_bytes) / MB
        return metrics

    def _synchronize(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)


class TensorMemory(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch declares no types here
    """Follows the memory of tensors made inside: what the CPU has no counter for.

    The process's resident memory says little: what training freed is used again without growing it. Here each
    operator's new storages are added up and taken off again when they are freed, to the byte and the same in
    every run. What an operator allocates and frees within itself is not seen.

    Attributes:
        now: Bytes alive that were made inside.
        peak: The most there was at once.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self._known: dict[int, weakref.ref[torch.UntypedStorage]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Runs an operator. The storages that it is given are known afterwards: views of them are not new."""
        kwargs = kwargs or {}
        self._see(args, new=False)
        if kwargs:
            self._see(kwargs.values(), new=False)
        out = func(*args, **kwargs)
        self._see((out,), new=True)
        return out

    def _see(self, values: Iterable[Any], *, new: bool) -> None:
        for value in values:
            if isinstance(value, torch.Tensor):
                self._see_storage(value.untyped_storage(), new)
            elif isinstance(value, (tuple, list)):
                self._see(value, new=new)

    def _see_storage(self, storage: torch.UntypedStorage, new: bool) -> None:
        key = storage._cdata
        if key in self._known:
            return
        size = storage.nbytes() if new else 0

        def freed(_: object) -> None:
            del self._known[key]  # the next storage may have the same address
            self.now -= size

        self._known[key] = weakref.ref(storage, freed)
        self.now += size
        self.peak = max(self.peak, self.now)


def _weight_bytes(model: nn.Module) -> int:
    storages = {
        tensor.untyped_storage()._cdata: tensor.untyped_storage().nbytes()
        for tensor in itertools.chain(model.parameters(), model.buffers())
    }
    return sum(storages.values())
