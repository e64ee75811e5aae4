"""What an exception means for a trial: no memory, divergence, a config that builds no model, an error."""

import pickle
import traceback
from enum import Enum, auto

import torch

from runners.checkpoints import is_full, trouble
from runners.detectron.model import WeightsDoNotFit
from sweeps.core.trial import Failure, FailureKind

_OUT_OF_MEMORY_TEXTS = (
    "defaultcpuallocator",
    "can't allocate memory",
    "cannot allocate memory",
    "out of memory",
    "alloc_failed",  # of cuDNN and cuBLAS
)
_DETAIL_CHARACTERS = 20_000


class Stage(Enum):
    """What was being done when an exception came."""

    BUILDING = auto()  # config, model, optimizer: nothing but the parameters decides
    RUNNING = auto()  # everything else


def failure_of(error: Exception, stage: Stage) -> Failure:
    """The failure that an exception is, with its traceback as detail."""
    lines = traceback.format_exception(error)
    return Failure(_kind(error, stage), trouble(error).message, "".join(lines)[-_DETAIL_CHARACTERS:])


def _kind(error: Exception, stage: Stage) -> FailureKind:
    if is_full(error):
        return FailureKind.DISK_FULL
    if _is_out_of_memory(error):
        return FailureKind.OUT_OF_MEMORY
    if isinstance(error, FloatingPointError):
        return FailureKind.DIVERGED
    # A kernel that this device or this Detectron2 lacks, or weights of another model: the same every time.
    if isinstance(error, NotImplementedError | WeightsDoNotFit):
        return FailureKind.DOES_NOT_BUILD
    # What a file system or a network says may be different the next time.
    passing = isinstance(error, OSError | pickle.UnpicklingError)
    return FailureKind.DOES_NOT_BUILD if stage is Stage.BUILDING and not passing else FailureKind.ERROR


def _is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(sign in text for sign in _OUT_OF_MEMORY_TEXTS)
