"""The PEP 517 hooks: sdist in, `detectron2-0.6-py3-none-any.whl` out. Standard library only."""

import base64
import hashlib
import tarfile
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from shim import BuildError
from shim.fetch import VERSION, fetch_sdist
from shim.patches import apply_patches

INFO = f"detectron2-{VERSION}.dist-info"
GENERATOR = "masksweep-detectron2"

# What the sdist's setup.py installs, and where: folder in the sdist to folder in the wheel.
FOLDERS = {
    "detectron2/": "detectron2/",
    "projects/PointRend/point_rend/": "detectron2/projects/point_rend/",
    "projects/DeepLab/deeplab/": "detectron2/projects/deeplab/",
    "projects/Panoptic-DeepLab/panoptic_deeplab/": "detectron2/projects/panoptic_deeplab/",
}

# Upstream's install_requires less black (a release of 2021), future and pydot (caffe2 only); with shapely,
# which fvcore imports to crop polygons. torch 2.13.0 is left out: its torchvision does not import.
METADATA = f"""Metadata-Version: 2.1
Name: detectron2
Version: {VERSION}
Summary: Detectron2 v{VERSION} without its compiled extension, patched for current torch, numpy and Pillow
License: Apache-2.0
Requires-Python: >=3.10
Requires-Dist: torch>=2.6,!=2.13.0
Requires-Dist: torchvision>=0.21
Requires-Dist: numpy>=1.24
Requires-Dist: Pillow>=9.1
Requires-Dist: matplotlib
Requires-Dist: pycocotools>=2.0.8
Requires-Dist: termcolor>=1.1
Requires-Dist: yacs>=0.1.8
Requires-Dist: tabulate
Requires-Dist: cloudpickle
Requires-Dist: tqdm>4.29.0
Requires-Dist: tensorboard
Requires-Dist: fvcore>=0.1.5,<0.1.6
Requires-Dist: iopath>=0.1.7,<0.1.11
Requires-Dist: omegaconf>=2.1,<2.4
Requires-Dist: hydra-core>=1.1,<1.4
Requires-Dist: shapely>=2
Provides-Extra: visualizer
Requires-Dist: opencv-python-headless>=4.8 ; extra == "visualizer"
"""

WHEEL = f"""Wheel-Version: 1.0
Generator: {GENERATOR}
Root-Is-Purelib: true
Tag: py3-none-any
"""


def read_sdist(sdist: Path) -> dict[str, bytes]:
    """Contents of the files that belong in the wheel, by their path there."""
    files: dict[str, bytes] = {}
    with tarfile.open(sdist) as tar:
        for member in tar:
            path = member.name.partition("/")[2]
            target = f"{INFO}/LICENSE" if path == "LICENSE" else _target(path)
            content = tar.extractfile(member) if target and member.isfile() else None
            if target and content:
                files[target] = content.read()
    return files


def _target(path: str) -> str | None:
    for source, target in FOLDERS.items():
        if path.startswith(source):
            return target + path.removeprefix(source)
    return None


def write_wheel(files: Mapping[str, bytes], wheel: Path) -> None:
    """Writes a wheel with `files`, metadata and RECORD; the same files give the same bytes."""
    content = dict(files)
    content[f"{INFO}/METADATA"] = METADATA.encode()
    content[f"{INFO}/WHEEL"] = WHEEL.encode()
    record = "".join(f"{path},sha256={_digest(data)},{len(data)}\n" for path, data in content.items())
    content[f"{INFO}/RECORD"] = f"{record}{INFO}/RECORD,,\n".encode()
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, data in content.items():
            entry = zipfile.ZipInfo(path)  # dated 1980: no clock in the wheel
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data, zipfile.ZIP_DEFLATED)


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def build_wheel(
    wheel_directory: str, config_settings: object = None, metadata_directory: str | None = None
) -> str:
    """PEP 517: fetches, patches and packs; returns the wheel's file name."""
    name = f"detectron2-{VERSION}-py3-none-any.whl"
    try:
        with tempfile.TemporaryDirectory() as directory:
            files = read_sdist(fetch_sdist(Path(directory)))
        files = apply_patches(files)
    except BuildError as error:
        raise SystemExit(f"\nerror: {error}\n") from None  # pip prints this without a traceback
    files["detectron2/_C.py"] = Path(__file__).with_name("extension.py").read_bytes()
    write_wheel(files, Path(wheel_directory) / name)
    return name


def prepare_metadata_for_build_wheel(metadata_directory: str, config_settings: object = None) -> str:
    """PEP 517: the wheel's metadata, without fetching anything."""
    info = Path(metadata_directory) / INFO
    info.mkdir()
    (info / "METADATA").write_text(METADATA)
    (info / "WHEEL").write_text(WHEEL)
    return INFO


def build_sdist(sdist_directory: str, config_settings: object = None) -> str:
    """PEP 517 wants this hook; there is nothing to publish."""
    raise SystemExit("error: install detectron2 from this directory; it makes no sdist")
