"""The image files behind a COCO JSON: there, inside their folder, whole, and of the size that it says."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from runners.annotations.findings import Findings
from runners.regular_files import open_regular
from sweeps.roots import real_path, where_allowed

HEADERS = 5000  # files that are opened at most; of a larger set, so many evenly spread ones

_TRAILERS = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}
"""What a whole file ends with, unless something was appended to it."""

_EXIF_ORIENTATION = 274
_ON_ITS_SIDE = (5, 6, 7, 8)  # EXIF orientations that swap width and height


@dataclass(slots=True)
class ImageFiles:
    """The files of one half of the data.

    Attributes:
        sizes: Bytes of each file name that the JSON gives, and -1 where there is no file.
        paths: Absolute path of each file that is there.
    """

    sizes: dict[str, int] = field(default_factory=dict)
    paths: dict[str, str] = field(default_factory=dict)


def check_files(
    images: dict[Any, dict[str, Any]],
    folder: Path,
    path: str,
    findings: Findings,
    notes: Findings,
    *,
    roots: Sequence[Path] = (),
) -> ImageFiles:
    """Looks for every image and reads the header and the trailer of up to HEADERS of them.

    JPEG and PNG files that do not end as they should are decoded, so that files which were cut off are found.
    Damage in the middle of a file, and cut files of other formats, show only in training.

    Args:
        images: COCO's image records by id, each with file_name, width and height.
        folder: Where their names start.
        path: Where the half stands in the spec: `dataset.train`.
        findings: Gets the problems.
        notes: Gets what is worth a remark.
        roots: Directories that the files must lie in, links followed; none of them: anywhere.
    """
    files = ImageFiles()
    strayed = _Strays(roots)
    if not os.path.isdir(folder):  # pathlib's raises for a name that is too long
        kind = "not a" if os.path.exists(folder) else "no such"
        findings.add(f"{path}.images", f"{kind} directory: {folder}")
        return files
    step = max(1, -(-len(images) // HEADERS))
    for index, record in enumerate(images.values()):
        name = record["file_name"]
        if name in files.sizes:
            notes.add(f"{path}.annotations", "file names of more than one image", name)
            continue
        # by the name alone: without roots, links inside the folder may lead wherever their owner wants
        inside = os.path.normpath(name)
        if os.path.isabs(name) or inside == ".." or inside.startswith(".." + os.sep) or "\0" in name:
            findings.add(
                f"{path}.annotations", "file names that lead out of the image folder", repr(name)[1:-1]
            )
            continue
        file = os.path.join(folder, name)
        if strayed(file):
            problem = "images whose links lead out of the directories that the service allows"
            findings.add(f"{path}.images", problem, name, where_allowed(roots))
            continue
        try:
            files.sizes[name] = os.stat(file).st_size if os.path.isfile(file) else -1
        except (OSError, ValueError):  # a name that no file system takes
            files.sizes[name] = -1
        if files.sizes[name] < 0:
            kind = "no regular files" if _is_there(file) else f"not in {folder}"
            findings.add(f"{path}.images", f"images that are {kind}", name)
            continue
        files.paths[name] = os.path.abspath(file)
        if index % step == 0:
            _check_header(file, record, path, findings, notes)
    return files


def _is_there(file: str) -> bool:
    try:
        return os.path.exists(file)
    except ValueError:
        return False


class _Strays:
    """Whether a file lies outside all roots: follows links, but looks at each directory once."""

    def __init__(self, roots: Sequence[Path]) -> None:
        self._roots = roots
        self._inside: dict[str, bool] = {}

    def __call__(self, file: str) -> bool:
        if not self._roots:
            return False
        directory = os.path.dirname(file)
        if directory not in self._inside:
            self._inside[directory] = real_path(directory, self._roots) is not None
        if os.path.islink(file):
            return real_path(file, self._roots) is None
        return not self._inside[directory]


def _check_header(file: str, record: dict[str, Any], path: str, findings: Findings, notes: Findings) -> None:
    name = record["file_name"]
    try:
        with open_regular(file) as raw, Image.open(raw) as image:
            width, height = image.size
            orientation = _orientation(image)
            deep = image.mode.startswith("I")
            cut = _cut_off(image, file)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = "not an image" if isinstance(error, UnidentifiedImageError) else str(error)
        findings.add(f"{path}.images", "images that cannot be opened", f"{name} ({reason})")
        return
    if cut is not None:
        findings.add(f"{path}.images", "images that are cut off", f"{name} ({cut})")
    if orientation in _ON_ITS_SIDE:
        width, height = height, width
    if (width, height) != (record["width"], record["height"]):
        got = f"{name} ({record['width']} x {record['height']}, but the file has {width} x {height})"
        hint = None
        if orientation in _ON_ITS_SIDE:
            hint = (
                "the file's EXIF orientation turns it on its side; width and height are those after turning"
            )
        findings.add(f"{path}.annotations", "images with a wrong width or height", got, hint)
    if deep:
        notes.add(f"{path}.images", "16-bit images, of which the upper 8 bits are used", name)


def _cut_off(image: Image.Image, file: str) -> str | None:
    """Why the pixels cannot be read to the last one, or None; decodes only where the trailer is missing."""
    trailer = _TRAILERS.get(image.format or "")
    if trailer is None:
        return None
    with open_regular(file) as raw:
        raw.seek(-min(len(trailer), raw.seek(0, os.SEEK_END)), os.SEEK_END)
        if raw.read() == trailer:
            return None
    try:
        image.load()
    except Exception as error:  # decoders raise what they like
        return str(error)
    return None


def _orientation(image: Image.Image) -> int | None:
    if image.format == "PNG" and not {"exif", "Raw profile type exif"} & image.info.keys():
        return None  # getexif would decode the whole image to look for more chunks
    try:
        value = image.getexif().get(_EXIF_ORIENTATION)
    except Exception:  # a broken EXIF block turns nothing
        return None
    return value if isinstance(value, int) else None
