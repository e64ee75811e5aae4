"""What an attempt ran on, for those who want to repeat it."""

import ctypes
import os
import platform
import socket
from functools import cache
from importlib.metadata import PackageNotFoundError, version

import torch

_PACKAGES = ("torch", "torchvision", "detectron2", "numpy", "pillow", "hotcoco", "masksweep")

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h


def limit_threads() -> None:
    """One thread, or OMP_NUM_THREADS: more make a training little faster and starve its neighbours."""
    threads = os.environ.get("OMP_NUM_THREADS", "")
    wanted = int(threads) if threads.isdigit() and int(threads) > 0 else 1
    os.environ.setdefault("RAYON_NUM_THREADS", str(wanted))  # hotcoco's; read at its first use
    if torch.get_num_threads() != wanted:
        torch.set_num_threads(wanted)


def keep_freed_memory() -> None:
    """Lets glibc keep what is freed for the next allocation, instead of giving it back to the kernel.

    Training on a CPU takes and frees the same large tensors in every iteration; without this each is a
    new mapping, page by page. Does nothing where the C library has no `mallopt`.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 1 << 30)
        mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)


def environment(device: str) -> dict[str, str]:
    """Versions of the libraries, and the machine."""
    return {
        **_versions(),
        "device": device,
        "device_name": torch.cuda.get_device_name(device) if device.startswith("cuda") else _cpu_name(),
        "hostname": socket.gethostname(),
        "threads": str(torch.get_num_threads()),
    }


@cache
def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    if torch.version.cuda:
        found["cuda"] = torch.version.cuda
    return found


@cache
def _cpu_name() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
