"""Stand-in for Detectron2's compiled extension, whose C++ sources are not in the sdist.

ROIAlign and NMS are torchvision's and work. What needs the extension says so when it is called.
"""

from typing import NoReturn


def get_compiler_version() -> str:
    """What `detectron2.utils.collect_env` prints as the compiler."""
    return "none (pure-Python build)"


def get_cuda_version() -> str:
    """What `detectron2.utils.collect_env` prints as the CUDA compiler."""
    return "none (pure-Python build)"


def has_cuda() -> bool:
    """Whether the extension itself has CUDA kernels; torch and torchvision have their own."""
    return False


def __getattr__(name: str) -> NoReturn:
    if name.startswith("__"):
        raise AttributeError(name)
    raise RuntimeError(
        f"detectron2._C.{name} is compiled code, and this is a pure-Python build of Detectron2: rotated "
        "boxes, deformable convolution on CUDA and the compiled COCO evaluator need an official build"
    )
