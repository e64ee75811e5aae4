"""Reads one COCO JSON once and checks every record of it."""

import json
import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

from runners.annotations.findings import Findings, named
from runners.annotations.segmentations import WITHOUT_AREA, briefly, mask_area, segmentation_problem
from runners.regular_files import read_bytes
from search_spaces.issues import shown

SECTIONS = ("images", "annotations", "categories")

MAX_ID = 2**63 - 1
"""What evaluators count in."""

MAX_SIDE_PX = 1_000_000

_HALF = re.compile("[\\ud800-\\udfff]")
_HUGE = 1e300  # compared, not converted: a JSON holds whole numbers that no float does

_Record = dict[str, Any]


@dataclass(slots=True)
class CocoFile:
    """What a COCO JSON holds, as far as it is sound.

    Attributes:
        images: By id; those with a file name and a size.
        categories: Name by id, ascending.
        areas: For each category id the areas of its instances in px², as the file says; where it does not,
            those of the masks if trials are scored on them. No crowd regions.
        crowds: Number of crowd regions.
        annotated: Ids of the images with at least one instance.
    """

    images: dict[int, _Record] = field(default_factory=dict)
    categories: dict[int, str] = field(default_factory=dict)
    areas: dict[int, list[float]] = field(default_factory=dict)
    crowds: int = 0
    annotated: set[int] = field(default_factory=set)

    @property
    def instances(self) -> int:
        """How many annotations there are that are no crowd regions."""
        return sum(len(areas) for areas in self.areas.values())


@dataclass(frozen=True, slots=True)
class Needs:
    """What the use of a file asks for, beside ids, sizes and boxes.

    Attributes:
        file_names: Images are opened.
        masks: Masks are learnt or measured.
        areas: Every instance says its area; else it is that of its mask.
    """

    file_names: bool = True
    masks: bool = True
    areas: bool = True


def read_coco(
    file: Path,
    path: str,
    findings: Findings,
    notes: Findings,
    *,
    evaluated: bool,
    needs: Needs = Needs(),
) -> tuple[CocoFile | None, bytes]:
    """Reads and checks a file.

    Args:
        file: The JSON.
        path: Where it stands in the spec, for the findings.
        findings: Gets every problem.
        notes: Gets what one can live with.
        evaluated: Whether detections are scored on it, so that areas matter.
        needs: What else its use asks for.

    Returns:
        What is sound in it, or None if it cannot be read as COCO; and its bytes.
    """
    try:
        raw = read_bytes(file)
    except FileNotFoundError:
        findings.add(path, f"no such file: {file}")
        return None, b""
    except OSError as error:
        findings.add(path, f"cannot read {file}: {error.strerror}")
        return None, b""
    try:
        document = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else error
        findings.add(path, f"not JSON: {reason}")
        return None, raw
    if not isinstance(document, dict):
        findings.add(path, f"got {shown(document)}, but needs a mapping of {', '.join(SECTIONS)}", hint=_HINT)
        return None, raw
    wrong = [name for name in SECTIONS if not isinstance(document.get(name), list)]
    if wrong:
        findings.add(path, f"not COCO: {' and '.join(wrong)} missing or not a list", hint=_HINT)
        return None, raw
    if not document["images"]:
        findings.add(path, "no images")
    if not document["annotations"]:
        findings.add(path, "no annotations at all")
    content = CocoFile()
    _read_categories(content, document["categories"], path, findings)
    image_ids = _read_images(content, document["images"], path, findings, needs)
    reader = _AnnotationReader(content, image_ids, path, findings, notes, evaluated, needs)
    _read_annotations(reader, document["annotations"], path, findings)
    if document["annotations"] and not content.instances and content.crowds == len(document["annotations"]):
        findings.add(path, f"nothing but crowd regions ({content.crowds})", hint="instances have iscrowd: 0")
    return content, raw


_HINT = "it takes COCO's instances JSON"


def _records(items: list[Any], section: str, path: str, findings: Findings) -> Iterable[tuple[int, _Record]]:
    for index, item in enumerate(items):
        if isinstance(item, dict):
            yield index, item
        else:
            findings.add(path, f"{section} that are not mappings", f"{section}[{index}] ({shown(item)})")


def _read_categories(content: CocoFile, items: list[Any], path: str, findings: Findings) -> None:
    if not items:
        findings.add(path, "no categories")
    seen: Counter[int] = Counter()
    for index, item in _records(items, "categories", path, findings):
        category_id, name = item.get("id"), item.get("name")
        if not _is_id(category_id) or not _is_name(name):
            got = f"categories[{index}] (id {shown(category_id)}, name {shown(name)})"
            findings.add(path, "categories without a whole id from 0 to 2**63 - 1 and a name", got)
            continue
        seen[category_id] += 1
        content.categories[category_id] = name
    _repeated(seen, "category ids", path, findings)
    names = Counter(content.categories.values())
    for name, count in names.items():
        if count > 1:
            ids = named([str(one) for one, other in content.categories.items() if other == name])
            findings.add(path, "category names used more than once", f"{name} (ids {ids})")
    content.categories = dict(sorted(content.categories.items()))
    content.areas = {category_id: [] for category_id in content.categories}


def _read_images(
    content: CocoFile, items: list[Any], path: str, findings: Findings, needs: Needs
) -> set[int]:
    """Fills in the sound images and returns the ids of all."""
    seen: Counter[int] = Counter()
    for index, item in _records(items, "images", path, findings):
        image_id = item.get("id")
        if not _is_id(image_id):
            findings.add(
                path, "images without a whole id from 0 to 2**63 - 1", f"images[{index}] ({shown(image_id)})"
            )
            continue
        seen[image_id] += 1
        name, width, height = item.get("file_name"), item.get("width"), item.get("height")
        if needs.file_names and (not isinstance(name, str) or not name):
            findings.add(path, "images without a file_name", f"image {image_id}")
        elif not _is_side(width) or not _is_side(height):
            got = f"image {image_id} (width {shown(width)}, height {shown(height)})"
            findings.add(path, f"images without a width and a height from 1 to {MAX_SIDE_PX} px", got)
        else:
            content.images[image_id] = item
    _repeated(seen, "image ids", path, findings)
    return set(seen)


def _read_annotations(reader: "_AnnotationReader", items: list[Any], path: str, findings: Findings) -> None:
    seen: Counter[int] = Counter()
    for index, item in _records(items, "annotations", path, findings):
        annotation_id = item.get("id")
        if not _is_id(annotation_id):
            got = f"annotations[{index}] ({shown(annotation_id)})"
            findings.add(path, "annotations without a whole id from 0 to 2**63 - 1", got)
            continue
        seen[annotation_id] += 1
        reader.read(item)
    _repeated(seen, "annotation ids", path, findings)


@dataclass(frozen=True, slots=True)
class _AnnotationReader:
    """Checks annotations one by one.

    Attributes:
        content: Gets what is sound.
        image_ids: Of all images, also of those that are not sound.
        path: Where the file stands in the spec.
        findings: Gets every problem.
        notes: Gets what training can leave out: large public sets have a few of these.
        evaluated: Whether areas matter.
        needs: What else the file's use asks for.
    """

    content: CocoFile
    image_ids: set[int]
    path: str
    findings: Findings
    notes: Findings
    evaluated: bool
    needs: Needs

    def read(self, item: _Record) -> None:
        name = f"annotation {item['id']}"
        image_id, category_id = item.get("image_id"), item.get("category_id")
        image = self.content.images.get(image_id) if _is_id(image_id) else None
        areas = self.content.areas.get(category_id) if _is_id(category_id) else None
        if not _is_id(image_id) or image_id not in self.image_ids:
            self._add("annotations that point to no image", f"{name} (image_id {shown(image_id)})")
        if areas is None:
            self._add("annotations that point to no category", f"{name} (category_id {shown(category_id)})")
        if item.get("ignore"):
            self._add("annotations with ignore set", name, "regions to leave out have iscrowd: 1")
        crowd = item.get("iscrowd", 0)
        if crowd not in (0, 1) or isinstance(crowd, bool):
            self._add("annotations whose iscrowd is neither 0 nor 1", f"{name} ({shown(crowd)})")
        box = item.get("bbox")
        if not self.evaluated and _is_box(box) and not min(box[2:]):
            self.notes.add(self.path, "annotations of no width or height, left out of training", name)
        elif not _is_box(box) or not min(box[2:]):
            needs = "annotations without a bbox [x, y, width, height] of positive width and height"
            self._add(needs, f"{name} ({briefly(box)})")
        sound = self.needs.masks and self._read_segmentation(item, name, image)
        area = item.get("area")
        if self.evaluated and "area" not in item:
            if self.needs.areas:
                self.notes.add(self.path, "annotations without an area, of which the mask's is used", name)
            if sound and image is not None:
                area = mask_area(item["segmentation"], image["height"], image["width"])
        elif self.evaluated and not (_is_number(area) and area > 0):
            hint = "scores by size need it: the area of the segmentation in px²"
            self._add("annotations without an area above 0", f"{name} ({shown(area)})", hint)
        if crowd:
            self.content.crowds += 1
        elif image is not None and areas is not None:
            areas.append(area if _is_number(area) else math.nan)
            self.content.annotated.add(image["id"])

    def _read_segmentation(self, item: _Record, name: str, image: _Record | None) -> bool:
        """Whether it is well formed, as far as that can be said."""
        segmentation = item.get("segmentation")
        if not self.evaluated and isinstance(segmentation, list) and any(map(_is_short, segmentation)):
            self.notes.add(self.path, "polygons of fewer than three corners, left out of training", name)
            segmentation = [polygon for polygon in segmentation if not _is_short(polygon)]
            if not segmentation:
                return False
        if not segmentation:
            hint = "masks are learnt from polygons or RLE; boxes are not enough"
            self._add("annotations without a segmentation", name, hint)
        elif image is not None:
            problem = segmentation_problem(segmentation, image["height"], image["width"])
            if problem == WITHOUT_AREA and not self.evaluated:
                self.notes.add(self.path, "segmentations without an area, left out of training", name)
            elif problem is not None:
                self._add("malformed segmentations", f"{name} ({problem})")
            return problem is None
        return False

    def _add(self, problem: str, record: str, hint: str | None = None) -> None:
        self.findings.add(self.path, problem, record, hint)


def _repeated(seen: Counter[int], what: str, path: str, findings: Findings) -> None:
    for number, count in seen.items():
        if count > 1:
            findings.add(path, f"{what} used more than once", str(number))


def _is_number(value: Any) -> TypeGuard[float]:
    return type(value) in (int, float) and -_HUGE < value < _HUGE


def _is_short(polygon: Any) -> bool:
    """Whether Detectron2 skips it; COCO's evaluation takes one of four numbers for a box."""
    return isinstance(polygon, list) and len(polygon) < 6


def _is_id(value: Any) -> TypeGuard[int]:
    return type(value) is int and 0 <= value <= MAX_ID


def _is_name(value: Any) -> TypeGuard[str]:
    """Text that can be stored: JSON can hold halves of characters, UTF-8 cannot."""
    return isinstance(value, str) and bool(value.strip()) and not _HALF.search(value)


def _is_side(value: Any) -> TypeGuard[int]:
    return type(value) is int and 1 <= value <= MAX_SIDE_PX


def _is_box(value: Any) -> TypeGuard[list[float]]:
    return (
        isinstance(value, list)
        and len(value) == 4
        and all(map(_is_number, value))
        and min(value[2], value[3]) >= 0
    )
