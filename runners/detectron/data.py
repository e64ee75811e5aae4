"""The sweep's COCO data inside a worker: registered once, images decoded once and kept across trials."""

import hashlib
import json
import logging
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets import load_coco_json
from detectron2.data.detection_utils import convert_PIL_to_numpy
from PIL import Image

from runners.regular_files import open_regular, require_regular

if TYPE_CHECKING:
    from sweeps.core.spec import SweepSpec

DatasetDict: TypeAlias = dict[str, Any]  # Detectron2's record of one image
ImageArray: TypeAlias = npt.NDArray[Any]  # (H, W, C), uint8 but for YUV

CACHE_BYTES = 2 * 1024**3
_DECODERS = 4  # threads; Pillow decodes without Python's lock

_EXIF_ORIENTATION = 274
_TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True, slots=True)
class RegisteredData:
    """The two halves of a sweep's data, known to Detectron2 in this process.

    Attributes:
        train: Name in `DatasetCatalog` and `MetadataCatalog`; its dicts keep crowd regions.
        val: The same for the validation half.
        categories: Class names; the index is the contiguous class that models predict.
        category_ids: The ids of those classes in the JSON files, in the same order.
    """

    train: str
    val: str
    categories: tuple[str, ...]
    category_ids: tuple[int, ...]

    @property
    def num_classes(self) -> int:
        """How many classes a model has to tell apart, without the background."""
        return len(self.categories)


def register(spec: "SweepSpec") -> RegisteredData:
    """Registers the spec's training and validation data in this process; cheap when already done.

    The names come from the paths and the state of the JSON files, so an edited file gets a new name and no
    worker goes on with old annotations.

    Raises:
        OSError: A JSON file cannot be read.
        ValueError: The two halves do not have the same categories.
    """
    halves = spec.data.train, spec.data.val
    train, val = (_register(Path(half.annotations), Path(half.images)) for half in halves)
    categories = _categories(train)
    if categories != _categories(val):
        raise ValueError(
            f"training and validation data must have the same categories, but got {categories}"
            f" and {_categories(val)}"
        )
    return RegisteredData(train, val, tuple(categories.values()), tuple(categories))


def dataset_dicts(name: str) -> list[DatasetDict]:
    """The records of a registered set, the same objects at each call: read them, never change them."""
    records: list[DatasetDict] = DatasetCatalog.get(name)
    return records


def _categories(name: str) -> dict[int, str]:
    """Names by id, in the order of the contiguous classes."""
    meta = MetadataCatalog.get(name)
    return dict(zip(meta.thing_dataset_id_to_contiguous_id, meta.thing_classes, strict=True))


_registering = threading.Lock()


def _register(annotations: Path, images: Path) -> str:
    annotations, images = annotations.absolute(), images.absolute()
    require_regular(annotations)  # Detectron2 would wait at a named pipe
    stat = annotations.stat()
    key = json.dumps([str(annotations), str(images), stat.st_size, stat.st_mtime_ns, stat.st_ino])
    name = f"masksweep/{annotations.stem}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    with _registering:
        if name not in DatasetCatalog.list():
            with _quiet("detectron2"):
                records = load_coco_json(str(annotations), str(images), name)
            MetadataCatalog.get(name).set(
                json_file=str(annotations), image_root=str(images), evaluator_type="coco"
            )
            DatasetCatalog.register(name, lambda: records)
    return name


@contextmanager
def _quiet(logger: str) -> Iterator[None]:
    """Silences Detectron2's remarks on its input: the audit has said what there is to say."""
    log = logging.getLogger(logger)
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


def read_image(path: str, image_format: str) -> ImageArray:
    """Decodes an image as Detectron2 does: EXIF orientation applied, alpha dropped, grey repeated.

    16-bit grey images are brought to 8 bits by dropping the low byte, where Detectron2 would clip at 255.

    Args:
        path: An image file that Pillow reads.
        image_format: `BGR`, `RGB`, `L` or `YUV-BT.601`, as in `cfg.INPUT.FORMAT`.

    Returns:
        A contiguous (H, W, C) array, uint8 but for YUV.
    """
    with open_regular(path) as file, Image.open(file) as opened:
        image: Image.Image = _upright(opened)
        if image.mode.startswith("I"):
            wide = np.asarray(image)
            image = Image.fromarray((np.clip(wide, 0, 65535) >> 8).astype(np.uint8))
        return np.ascontiguousarray(convert_PIL_to_numpy(image, image_format))


def _upright(image: Image.Image) -> Image.Image:
    try:
        orientation = image.getexif().get(_EXIF_ORIENTATION)
    except Exception:  # whatever a broken EXIF block raises, the pixels may still be good
        return image
    method = _TRANSPOSES.get(orientation) if isinstance(orientation, int) else None
    return image if method is None else image.transpose(method)


class ImageCache:
    """Decoded images of this process, the least recently used dropped first. Safe for threads.

    Args:
        limit_bytes: What all kept arrays together may take; an image larger than that is never kept.
    """

    def __init__(self, limit_bytes: int = CACHE_BYTES) -> None:
        self.limit_bytes = limit_bytes
        self.size_bytes = 0
        self._images: OrderedDict[tuple[str, str], ImageArray] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._images)

    def __reduce__(self) -> tuple[type["ImageCache"], tuple[int]]:
        # Loader processes start with an empty cache of the same size: locks cannot travel, pixels should not.
        return ImageCache, (self.limit_bytes,)

    def get(self, path: str, image_format: str) -> ImageArray:
        """The decoded image, read-only: copy it before changing it. Errors are those of `read_image`."""
        key = (path, image_format)
        with self._lock:
            image = self._images.get(key)
            if image is not None:
                self._images.move_to_end(key)
                return image
        image = read_image(path, image_format)  # outside the lock: two threads may decode the same image once
        image.flags.writeable = False
        with self._lock:
            if key not in self._images and image.nbytes <= self.limit_bytes:
                self._images[key] = image
                self.size_bytes += image.nbytes
                while self.size_bytes > self.limit_bytes:
                    self.size_bytes -= self._images.popitem(last=False)[1].nbytes
        return image

    def fill(self, paths: Iterable[str], image_format: str) -> None:
        """Decodes what is not kept yet, by threads, until the limit is reached; drops nothing for it.

        For those who share this process's memory: a process forked afterwards has every kept image.

        Raises:
            OSError: What `read_image` raises.
        """
        full = threading.Event()

        def keep(path: str) -> None:
            key = (path, image_format)
            if full.is_set() or key in self._images:
                return
            image = read_image(path, image_format)
            image.flags.writeable = False
            with self._lock:
                if self.size_bytes + image.nbytes > self.limit_bytes:
                    full.set()
                elif key not in self._images:
                    self._images[key] = image
                    self.size_bytes += image.nbytes

        with ThreadPoolExecutor(_DECODERS) as pool:
            for _ in pool.map(keep, paths):
                pass

    def clear(self) -> None:
        """Drops every image."""
        with self._lock:
            self._images.clear()
            self.size_bytes = 0


IMAGES = ImageCache()  # the process's own, shared by all its trials
