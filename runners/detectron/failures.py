"""What an exception means for a trial: no memory, divergence, a config that builds no model, an error."""

import errno
import os
import pickle
import re
import traceback
from enum import Enum, auto

import torch

from runners.checkpoints import is_full, trouble
from runners.detectron.model import WeightsDoNotFit
from sweeps.core.trial import Failure, FailureKind

# Torch 2.14's words. Of the device, cuDNN and cuBLAS have no exception of their own.
_DEVICE_MEMORY_TEXTS = ("cuda out of memory", "cuda error: out of memory", "alloc_failed")
_HOST_MEMORY_TEXTS = ("defaultcpuallocator", "can't allocate memory", "cannot allocate memory", "bad_alloc")
_HOST_REQUEST = re.compile(r"you tried to allocate (?P<bytes>\d+) bytes")
_DEVICE_REQUEST = re.compile(
    r"tried to allocate (?P<size>[\d.]+) (?P<unit>[KMGT]i)?B"
    r".*total capacity of (?P<all>[\d.]+) (?P<all_unit>[KMGT]i)?B",
    re.IGNORECASE | re.DOTALL,
)
_UNITS = {None: 1, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}
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
    lack = _lack_of_memory(error)
    if lack is not None:
        # One tensor larger than all memory is a bad config: the neighbours have no part in it.
        return FailureKind.DOES_NOT_BUILD if _larger_than_all(str(error)) else lack
    if isinstance(error, FloatingPointError):
        return FailureKind.DIVERGED
    # A kernel that this device or this Detectron2 lacks, or weights of another model: the same every time.
    if isinstance(error, NotImplementedError | WeightsDoNotFit):
        return FailureKind.DOES_NOT_BUILD
    # What a file system or a network says may be different the next time.
    passing = isinstance(error, OSError | pickle.UnpicklingError)
    return FailureKind.DOES_NOT_BUILD if stage is Stage.BUILDING and not passing else FailureKind.ERROR


def _lack_of_memory(error: Exception) -> FailureKind | None:
    """Whose memory did not suffice, or None if that is not the trouble."""
    if isinstance(error, torch.OutOfMemoryError):
        return FailureKind.OUT_OF_MEMORY
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return FailureKind.OUT_OF_HOST_MEMORY
    text = str(error).lower()
    if not isinstance(error, RuntimeError):
        return None
    if any(sign in text for sign in _DEVICE_MEMORY_TEXTS):
        return FailureKind.OUT_OF_MEMORY
    return FailureKind.OUT_OF_HOST_MEMORY if any(sign in text for sign in _HOST_MEMORY_TEXTS) else None


def _larger_than_all(text: str) -> bool:
    """Whether a single allocation asked for more than the device, or this machine, has in all."""
    if asked := _HOST_REQUEST.search(text):
        return int(asked["bytes"]) > os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if asked := _DEVICE_REQUEST.search(text):
        return _bytes(asked["size"], asked["unit"]) > _bytes(asked["all"], asked["all_unit"])
    return False


def _bytes(number: str, unit: str | None) -> float:
    return float(number) * _UNITS[unit and unit.lower()]
