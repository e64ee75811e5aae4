import errno
import pickle
from urllib.error import URLError

import pytest
import torch

from runners.detectron.failures import Stage, failure_of
from runners.detectron.model import WeightsDoNotFit
from sweeps.core.trial import FailureKind

CPU_OUT_OF_MEMORY = (
    "[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory: you tried to allocate "
    "400000000000000 bytes. Error code 12 (Cannot allocate memory)"
)


@pytest.mark.parametrize(
    ("error", "stage", "kind"),
    [
        (FloatingPointError("loss is NaN"), Stage.RUNNING, FailureKind.DIVERGED),
        (torch.OutOfMemoryError("CUDA out of memory"), Stage.RUNNING, FailureKind.OUT_OF_MEMORY),
        (RuntimeError(CPU_OUT_OF_MEMORY), Stage.RUNNING, FailureKind.OUT_OF_MEMORY),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), Stage.RUNNING, FailureKind.OUT_OF_MEMORY),
        (MemoryError(), Stage.BUILDING, FailureKind.OUT_OF_MEMORY),
        (ValueError("num_channels must be divisible"), Stage.BUILDING, FailureKind.DOES_NOT_BUILD),
        (NotImplementedError("Deformable Conv on CPUs"), Stage.RUNNING, FailureKind.DOES_NOT_BUILD),
        (WeightsDoNotFit("of another model"), Stage.RUNNING, FailureKind.DOES_NOT_BUILD),
        (ValueError("image has another size"), Stage.RUNNING, FailureKind.ERROR),
        (URLError("no route to host"), Stage.BUILDING, FailureKind.ERROR),
        (OSError(errno.ENOSPC, "No space left on device"), Stage.BUILDING, FailureKind.DISK_FULL),
        (pickle.UnpicklingError("arrays only"), Stage.RUNNING, FailureKind.ERROR),
    ],
)
def test_each_exception_has_one_meaning(error, stage, kind):
    """Memory, divergence, an impossible config and passing trouble are told apart."""
    failure = failure_of(error, stage)
    assert failure.kind is kind
    assert type(error).__name__ in failure.message


def test_torch_says_out_of_memory_as_we_read_it():
    """An allocation no machine can serve is recognized by the text that this torch writes."""
    with pytest.raises(RuntimeError) as caught:
        torch.empty(10**15)
    assert failure_of(caught.value, Stage.RUNNING).kind is FailureKind.OUT_OF_MEMORY
