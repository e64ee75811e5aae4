"""What Detectron2 0.6 (2021) needs to run with torch 2.6 and later, numpy 2 and Pillow 10 and later.

Every replacement must occur: the sdist is pinned by hash, so one that does not is a mistake in this table.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from shim import BuildError


@dataclass(frozen=True, slots=True)
class Patch:
    """Replaces `old` by `new` wherever it occurs in `file`.

    Attributes:
        file: Path inside the wheel.
        old: Text of the sdist; occurs at least once.
        new: Text to put in its place.
        why: What breaks without it; written at the end of the file, as its licence asks of changed files.
    """

    file: str
    old: str
    new: str
    why: str


def _all(files: tuple[str, ...], old: str, new: str, why: str) -> tuple[Patch, ...]:
    return tuple(Patch(f"detectron2/{file}", old, new, why) for file in files)


_NUMPY = "numpy 1.24 removed its aliases of Python's types"
_PILLOW = "Pillow 10 removed the name LINEAR"
_LOGGER = "Python 3.13 deprecates Logger.warn"
_AUTOCAST = "torch 2.4 moved autocast and GradScaler to torch.amp"
_NO_FAST_EVAL = "the compiled COCO evaluator is not in a pure-Python build"
_NO_RESOURCES = "setuptools 82 removed pkg_resources"

PATCHES: tuple[Patch, ...] = (
    *_all(
        (
            "structures/masks.py",
            "utils/visualizer.py",
            "utils/video_visualizer.py",
            "evaluation/pascal_voc_evaluation.py",
        ),
        "np.bool)",
        "bool)",
        _NUMPY,
    ),
    *_all(("data/build.py",), "dtype=np.int)", "dtype=int)", _NUMPY),
    *_all(("data/build.py",), "dtype=np.int\n", "dtype=int\n", _NUMPY),
    *_all(("data/datasets/pascal_voc.py",), "dtype=np.str)", "dtype=str)", _NUMPY),
    *_all(("evaluation/sem_seg_evaluation.py",), "np.int)", "int)", _NUMPY),
    *_all(("evaluation/sem_seg_evaluation.py",), "np.float)", "float)", _NUMPY),
    *_all(
        ("layers/mask_ops.py",),
        "np.array(mask, copy=False)",
        "np.asarray(mask)",
        "numpy 2 raises where copy=False needs a copy",
    ),
    *_all(
        ("data/detection_utils.py",),
        "torch.from_numpy(np.ascontiguousarray(x))",
        'torch.from_numpy(np.require(x, requirements=["C", "W"]))',
        "torch warns of read-only arrays, and Pillow's are read-only",
    ),
    *_all(("data/transforms/transform.py",), "Image.LINEAR", "Image.BILINEAR", _PILLOW),
    *_all(
        (
            "evaluation/coco_evaluation.py",
            "evaluation/lvis_evaluation.py",
            "evaluation/sem_seg_evaluation.py",
        ),
        "self._logger.warn(",
        "self._logger.warning(",
        _LOGGER,
    ),
    *_all(
        ("evaluation/lvis_evaluation.py", "engine/defaults.py", "data/datasets/coco.py"),
        " logger.warn(",
        " logger.warning(",
        _LOGGER,
    ),
    *_all(
        ("evaluation/coco_evaluation.py",),
        "self._use_fast_impl = use_fast_impl",
        "self._use_fast_impl = False",
        _NO_FAST_EVAL,
    ),
    *_all(
        ("evaluation/coco_evaluation.py",),
        "(COCOeval_opt if use_fast_impl else COCOeval)",
        "COCOeval",
        _NO_FAST_EVAL,
    ),
    *_all(("model_zoo/model_zoo.py",), "import pkg_resources\n", "", _NO_RESOURCES),
    *_all(
        ("model_zoo/model_zoo.py",),
        "pkg_resources.resource_filename(\n"
        '        "detectron2.model_zoo", os.path.join("configs", config_path)\n    )',
        'os.path.join(os.path.dirname(os.path.abspath(__file__)), "configs", config_path)',
        _NO_RESOURCES,
    ),
    *_all(
        ("modeling/anchor_generator.py",),
        "torch.meshgrid(shifts_y, shifts_x)",
        'torch.meshgrid(shifts_y, shifts_x, indexing="ij")',
        "torch 1.10 wants meshgrid's indexing named",
    ),
    *_all(
        ("engine/train_loop.py",),
        "from torch.cuda.amp import GradScaler",
        "from torch.amp import GradScaler",
        _AUTOCAST,
    ),
    *_all(
        ("engine/train_loop.py",),
        "from torch.cuda.amp import autocast",
        "from torch.amp import autocast",
        _AUTOCAST,
    ),
    *_all(("engine/train_loop.py",), "with autocast():", 'with autocast("cuda"):', _AUTOCAST),
    *_all(
        ("export/__init__.py",),
        "from .api import *\n",
        "try:\n    import caffe2.proto as _caffe2  # noqa\nexcept ImportError:\n    pass\n"
        "else:\n    from .api import *\n",
        "torch 2 has no caffe2, which tracing and FLOP counts do not need",
    ),
    *_all(
        ("projects/point_rend/color_augmentation.py",),
        "import cv2\n",
        "\ntry:\n    import cv2\nexcept ImportError:\n    pass  # needed by ColorAugSSDTransform only\n",
        "PointRend's mask heads do not need OpenCV",
    ),
)


def apply_patches(files: Mapping[str, bytes], patches: tuple[Patch, ...] = PATCHES) -> dict[str, bytes]:
    """Copies `files` (contents by path in the wheel) with every patch applied.

    Raises:
        BuildError: A patch's file is absent or does not hold its text; names all of them.
    """
    patched = dict(files)
    missing: list[str] = []
    reasons: dict[str, list[str]] = {}
    for patch in patches:
        text = patched.get(patch.file, b"").decode()
        if patch.old not in text:
            missing.append(f"{patch.file}: {patch.old!r} not found")
            continue
        patched[patch.file] = text.replace(patch.old, patch.new).encode()
        reasons.setdefault(patch.file, []).append(patch.why)
    if missing:
        raise BuildError(
            "the sdist of Detectron2 is not the one that these patches are for:\n  "
            + "\n  ".join(missing)
            + "\nhint: compare SDIST in shim/fetch.py with the table in shim/patches.py"
        )
    for file, whys in reasons.items():
        note = "\n".join(f"# Changed when this wheel was built: {why}." for why in dict.fromkeys(whys))
        patched[file] += f"\n{note}\n".encode()
    return patched
