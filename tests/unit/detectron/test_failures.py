import errno
import pickle
import subprocess
import sys
from urllib.error import URLError

import pytest
import torch

from runners.detectron.failures import Stage, failure_of
from runners.detectron.model import WeightsDoNotFit
from sweeps.core.trial import FailureKind

CPU_OUT_OF_MEMORY = (
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to "
    "allocate {} bytes. Error code 12 (Cannot allocate memory)"
)
CUDA_OUT_OF_MEMORY = (
    "CUDA out of memory. Tried to allocate {}. GPU 0 has a total capacity of 15.77 GiB of which 1.24 GiB is "
    "free. Process 4711 has 14.52 GiB memory in use."
)


@pytest.mark.parametrize(
    ("error", "stage", "kind"),
    [
        (FloatingPointError("loss is NaN"), Stage.RUNNING, FailureKind.DIVERGED),
        (
            torch.OutOfMemoryError(CUDA_OUT_OF_MEMORY.format("20.00 MiB")),
            Stage.RUNNING,
            FailureKind.OUT_OF_MEMORY,
        ),
        # larger than the whole device, or than the whole machine: a bad config, whoever else is there
        (
            torch.OutOfMemoryError(CUDA_OUT_OF_MEMORY.format("15.78 GiB")),
            Stage.RUNNING,
            FailureKind.DOES_NOT_BUILD,
        ),
        (RuntimeError("CUDA error: out of memory"), Stage.RUNNING, FailureKind.OUT_OF_MEMORY),
        (RuntimeError(CPU_OUT_OF_MEMORY.format(10**6)), Stage.RUNNING, FailureKind.OUT_OF_HOST_MEMORY),
        (RuntimeError(CPU_OUT_OF_MEMORY.format(10**15)), Stage.RUNNING, FailureKind.DOES_NOT_BUILD),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), Stage.BUILDING, FailureKind.OUT_OF_HOST_MEMORY),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), Stage.RUNNING, FailureKind.ERROR),
        (
            RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
            Stage.BUILDING,
            FailureKind.DOES_NOT_BUILD,
        ),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), Stage.RUNNING, FailureKind.OUT_OF_MEMORY),
        (MemoryError(), Stage.BUILDING, FailureKind.OUT_OF_HOST_MEMORY),
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


STARVED = """
import resource, torch
from runners.detectron.failures import Stage, failure_of
resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
for size in (1 << 33, 10**15):  # in the machine, but not within the limit; in no machine
    try:
        torch.empty(size, dtype=torch.uint8)
    except RuntimeError as error:
        print(failure_of(error, Stage.RUNNING).kind)
"""


def test_torch_says_out_of_memory_as_we_read_it():
    """By the text that this torch writes, what fails here is told from what no machine could serve."""
    said = subprocess.run([sys.executable, "-c", STARVED], check=True, capture_output=True, text=True).stdout
    assert said.split() == ["out_of_host_memory", "does_not_build"]
