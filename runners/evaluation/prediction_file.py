"""Reads a file of COCO results and checks every record: evaluators count silently what is wrong with them."""

import json
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from hotcoco import mask as rle

from runners.annotations.segmentations import WITHOUT_AREA, WITHOUT_PIXELS, segmentation_problem
from runners.evaluation.results import IouType, Results
from runners.evaluation.run_lengths import broken_run_lengths
from runners.evaluation.truth import compressed
from search_spaces.issues import SpecIssue, shown

SHOWN = 20  # records that are told
_FORM = "COCO results are a list of records with image_id, category_id, score, and segmentation or bbox"


@dataclass(slots=True)
class Problems:
    """Records with something wrong: the first few in words, the rest counted.

    Attributes:
        total: Records with a problem.
    """

    total: int = 0
    _first: list[tuple[int, SpecIssue]] = field(default_factory=list)

    def add(self, index: int, record: Any, problem: str) -> None:
        """Notes what is wrong with a record."""
        self.total += 1
        if len(self._first) < SHOWN:
            self._first.append((index, SpecIssue(f"predictions[{index}]", f"{_said(record)}{problem}")))

    def issues(self) -> list[SpecIssue]:
        """One issue a record in the order of the file, then how many more there are."""
        found = [issue for _, issue in sorted(self._first, key=lambda each: each[0])]
        rest = self.total - len(found)
        return [*found, SpecIssue("predictions", f"{rest} more records with problems")] if rest else found


@dataclass(frozen=True, slots=True)
class Known:
    """What records may point to.

    Attributes:
        sizes: (height, width) by image id.
        category_ids: All of the annotations.
    """

    sizes: Mapping[int, tuple[int, int]]
    category_ids: frozenset[int]


def read_records(path: Path) -> tuple[list[Any], list[SpecIssue]]:
    """The records of a file, not yet checked, or why there are none."""
    try:
        document = json.loads(path.read_bytes().decode("utf-8"))
    except FileNotFoundError:
        return [], [SpecIssue("predictions", f"no such file: {path}")]
    except OSError as error:
        return [], [SpecIssue("predictions", f"cannot read {path}: {error.strerror}")]
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else error
        return [], [SpecIssue("predictions", f"not JSON: {reason}")]
    if not isinstance(document, list):
        return [], [SpecIssue("predictions", f"got {shown(document)}, but needs a list", _FORM)]
    return document, []


def checked_results(records: list[Any], known: Known, kind: IouType) -> tuple[Results, list[SpecIssue]]:
    """Records as results for the evaluator, and what is wrong with those that are none.

    A record may hold more than is measured, and that is not read: masks take no box along, as with one a
    detection's area would be the box's, and boxes take no mask. A box that is missing is that of the mask.
    Masks may be polygons and RLE of either kind, and may be empty.

    Args:
        records: Of the file.
        known: What they may point to.
        kind: What is to be measured.
    """
    problems = Problems()
    results: Results = []
    places: list[int] = []
    for index, record in enumerate(records):
        problem = _record_problem(record, known, kind)
        if problem is not None:
            problems.add(index, record, problem)
            continue
        height, width = known.sizes[record["image_id"]]
        result = {name: record[name] for name in ("image_id", "category_id", "score")}
        if kind == "bbox" and record.get("bbox"):
            result["bbox"] = record["bbox"]
        else:
            result["segmentation"] = compressed(record["segmentation"], height, width)
        results.append(result)
        places.append(index)
    masked = [place for place, result in enumerate(results) if "segmentation" in result]
    codes = [results[place]["segmentation"]["counts"] for place in masked]
    sizes = [known.sizes[results[place]["image_id"]] for place in masked]
    for number, problem in broken_run_lengths(codes, np.array(sizes, np.int64).reshape(-1, 2).prod(axis=1)):
        index = places[masked[number]]
        problems.add(index, records[index], problem)
    if problems.total:
        return [], problems.issues()
    if kind == "bbox":
        for place in masked:
            results[place]["bbox"] = rle.to_bbox(results[place].pop("segmentation")).tolist()
    return results, []


def _record_problem(record: Any, known: Known, kind: IouType) -> str | None:
    """Everything that is wrong with a record, but for the run lengths of a compressed mask."""
    if not isinstance(record, dict):
        return f"got {shown(record)}, but needs a mapping"
    image_id, category_id = record.get("image_id"), record.get("category_id")
    problems = []
    size = known.sizes.get(image_id) if type(image_id) is int else None
    if size is None:
        problems.append("no image of the annotations has this image_id")
    if type(category_id) is not int or category_id not in known.category_ids:
        problems.append("no category of the annotations has this category_id")
    if not _is_finite(record.get("score")):
        problems.append("score must be a finite number" if "score" in record else "score is missing")
    problem = _shape_problem(record, size, kind)
    return "; ".join([*problems, problem] if problem else problems) or None


def _shape_problem(record: Mapping[str, Any], size: tuple[int, int] | None, kind: IouType) -> str | None:
    """What is wrong with the box or the mask; `size` is (height, width) of the image, if it is known."""
    box, segmentation = record.get("bbox"), record.get("segmentation")
    if kind == "bbox" and box:
        is_box = isinstance(box, list) and len(box) == 4 and all(map(_is_finite, box))
        return None if is_box and min(box[2:]) >= 0 else "bbox must be x, y, width, height, finite numbers"
    if not segmentation:
        return "bbox and segmentation are missing" if kind == "bbox" else "segmentation is missing"
    return None if size is None else _mask_problem(segmentation, *size)


def _mask_problem(segmentation: Any, height: int, width: int) -> str | None:
    if isinstance(segmentation, dict) and isinstance(segmentation.get("counts"), str):
        size = segmentation.get("size")
        if size == [height, width]:
            return None  # its run lengths are looked at with all others
        swapped = ": size is height, width" if size == [width, height] else ""
        return f"got RLE size {size} for an image of height {height} and width {width}{swapped}"
    problem = segmentation_problem(segmentation, height, width)
    return None if problem in (WITHOUT_AREA, WITHOUT_PIXELS) else problem


def _said(record: Any) -> str:
    """What a record says, to find it by: `image_id 3, category_id 1, score 0.5: `."""
    if not isinstance(record, dict):
        return ""
    names = [name for name in ("image_id", "category_id", "score") if name in record]
    return ", ".join(f"{name} {_value(record[name])}" for name in names) + (": " if names else "")


def _value(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")  # as the file has it
    return shown(value)


def _is_finite(value: Any) -> bool:
    # a whole number of JSON may be beyond all floats
    return type(value) in (int, float) and -sys.float_info.max <= value <= sys.float_info.max
