"""Whether a COCO segmentation is well formed: evaluators accept broken ones silently, or hang."""

import math
from collections.abc import Sequence
from typing import Any

from search_spaces.issues import shown

WITHOUT_AREA = "got polygons without an area"
WITHOUT_PIXELS = "got an RLE that covers no pixel"


def segmentation_problem(segmentation: Any, height: int, width: int) -> str | None:
    """What is wrong with a segmentation of an image of that size, or None.

    Args:
        segmentation: A list of polygons, each [x, y, x, y, ...] in pixels, or RLE: `size` and `counts`.
        height: Of the image, in pixels.
        width: Of the image, in pixels.
    """
    if isinstance(segmentation, dict):
        return _rle_problem(segmentation, height, width)
    if not isinstance(segmentation, list):
        return f"got {type(segmentation).__name__}"
    for polygon in segmentation:
        problem = _polygon_problem(polygon)
        if problem is not None:
            return problem
    if all(is_flat(polygon) for polygon in segmentation):
        return WITHOUT_AREA
    return None


def mask_area(segmentation: Any, height: int, width: int) -> float:
    """Pixels of a well-formed segmentation of an image of that size, as COCO's evaluation draws it."""
    import pycocotools.mask as rle  # noqa: PLC0415 - few files lack the areas

    code = segmentation
    if isinstance(segmentation, list):
        code = rle.merge(rle.frPyObjects(segmentation, height, width))
    elif isinstance(segmentation["counts"], list):
        code = rle.frPyObjects(segmentation, height, width)
    return float(rle.area(code))


def is_flat(polygon: Sequence[float]) -> bool:
    """Whether all corners [x, y, x, y, ...] lie on one line. The two halves of a bow tie do not."""
    x0, y0 = polygon[0], polygon[1]
    along_x = along_y = 0.0
    for x, y in zip(polygon[2::2], polygon[3::2], strict=True):
        dx, dy = x - x0, y - y0
        if dx * along_y != dy * along_x:
            return False
        if not (along_x or along_y):
            along_x, along_y = dx, dy
    return True


def _polygon_problem(polygon: Any) -> str | None:
    if not isinstance(polygon, list):
        return "got a polygon that is not a list of numbers"
    if len(polygon) < 6 or len(polygon) % 2:
        return f"got a polygon of {len(polygon)} coordinates"
    if not set(map(type, polygon)) <= {int, float} or not _finite(polygon):
        return "got a polygon with a coordinate that is not a finite number"
    return None


def _finite(numbers: list[float]) -> bool:
    try:
        return math.isfinite(sum(numbers))
    except OverflowError:  # a whole number that no float holds
        return False


def _rle_problem(code: dict[str, Any], height: int, width: int) -> str | None:
    size, counts = code.get("size"), code.get("counts")
    if size != [height, width]:
        return f"got RLE size {briefly(size)} for an image of height {height} and width {width}"
    if isinstance(counts, str):
        runs = decompress(counts)
    elif isinstance(counts, list) and set(map(type, counts)) <= {int}:
        runs = counts
    else:
        runs = None
    if runs is None or min(runs, default=0) < 0:
        return "got RLE counts that are not run lengths"
    if sum(runs) != height * width:
        return f"got RLE counts for {shown(sum(runs))} of {height * width} pixels"
    if not any(runs[1::2]):
        return WITHOUT_PIXELS
    return None


def decompress(text: str) -> Sequence[int] | None:
    """Run lengths of COCO's compressed RLE, or None if the text is cut or has foreign characters.

    The code is that of `rleFrString` in pycocotools' maskApi.c: 5 bits a character, the sixth says that more
    follow; from the fourth number on, differences from the number two places before.
    """
    runs: list[int] = []
    value = shift = 0
    for letter in text:
        bits = ord(letter) - 48
        if not 0 <= bits < 64 or shift > 60:  # the code is of 64-bit numbers
            return None
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            if len(runs) > 2:
                value += runs[-2]
            runs.append(value)
            value = shift = 0
    return None if shift else runs


def briefly(value: Any) -> str:
    """A value in one line, with the items of a short list."""
    return (
        f"[{', '.join(map(shown, value))}]" if isinstance(value, list) and len(value) <= 8 else shown(value)
    )
