"""Says what is wrong with a sweep's data before anything trains. Needs neither torch nor Detectron2."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from runners.annotations.coco_file import CocoFile, read_coco
from runners.annotations.findings import Findings, named
from runners.annotations.image_files import ImageFiles, check_files
from runners.annotations.measurable import count_sizes, unmeasurable, unmeasurable_overlaps
from search_spaces.issues import SpecIssue
from sweeps.core.size_bins import all_bins
from sweeps.core.spec import Split, SweepSpec


@dataclass(frozen=True, slots=True)
class SplitReport:
    """What one half of the data holds.

    Attributes:
        images: Number of images.
        instances: Annotations that are no crowd regions.
        crowds: Crowd regions.
        sizes: Instances that COCO calls `small`, `medium` and `large`; one on a border counts twice.
        by_category: Instances by category name.
    """

    images: int = 0
    instances: int = 0
    crowds: int = 0
    sizes: Mapping[str, int] = field(default_factory=dict)
    by_category: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DataReport:
    """What an audit found.

    Attributes:
        issues: Problems that keep a sweep from starting, under the paths of the spec.
        notes: What a user may want to know and can live with.
        fingerprint: SHA-256 in hex of both JSON files and of the names and sizes of the images.
        categories: Names in the order of their ids: the classes that models learn.
        train: What models learn from.
        val: What trials are judged by.
    """

    issues: tuple[SpecIssue, ...]
    notes: tuple[SpecIssue, ...]
    fingerprint: str
    categories: tuple[str, ...]
    train: SplitReport
    val: SplitReport


def audit(spec: SweepSpec, roots: Sequence[Path] = ()) -> DataReport:
    """Checks the spec's data, and that it can measure the spec's objectives and constraints.

    Reads both JSON files once, looks for every image and reads header and trailer of up to 5000 a half.
    Problems are found all at once; each kind names its first records. Raises nothing for bad data.

    Args:
        spec: The sweep.
        roots: Directories that images must lie in, links followed; none of them: anywhere.
    """
    findings, notes = Findings(), Findings()
    digest = hashlib.sha256()
    halves: dict[str, tuple[CocoFile | None, ImageFiles]] = {}
    for name, split in (("train", spec.data.train), ("val", spec.data.val)):
        halves[name] = _read_half(name, split, findings, notes, digest, roots=roots)
    (train, train_files), (val, val_files) = halves["train"], halves["val"]
    if train is not None and val is not None:
        _compare_categories(train.categories, val.categories, findings)
        known = set(train_files.paths.values())
        for name, file in val_files.paths.items():
            if file in known:
                shared = "validation images that are training images too, which flatters every score"
                notes.add("dataset.val.annotations", shared, name)
    issues = list(findings.issues())
    if val is not None and val.categories:
        areas = {name: val.areas[category_id] for category_id, name in val.categories.items()}
        bins = all_bins(spec.metrics.size_bins)
        issues += unmeasurable(_metrics(spec), list(val.categories.values()), areas, bins)
    overlaps = [(path, metric) for path, metric in _metrics(spec) if metric.startswith("overlap/")]
    if overlaps and not issues:  # masks that are broken overlap with nothing
        issues += unmeasurable_overlaps(overlaps, _overlap_counts(Path(spec.data.val.annotations)))
    source = train or val
    return DataReport(
        tuple(issues),
        notes.issues(),
        digest.hexdigest(),
        tuple(source.categories.values()) if source is not None else (),
        _summary(train),
        _summary(val),
    )


def _read_half(
    name: str,
    split: Split,
    findings: Findings,
    notes: Findings,
    digest: "hashlib._Hash",
    *,
    roots: Sequence[Path],
) -> tuple[CocoFile | None, ImageFiles]:
    path = f"dataset.{name}"
    content, raw = read_coco(
        Path(split.annotations), f"{path}.annotations", findings, notes, evaluated=name == "val"
    )
    images = content.images if content is not None else {}
    files = check_files(images, Path(split.images), path, findings, notes, roots=roots)
    # lengths first, so that no two data sets run together into the same bytes
    for part in (raw, json.dumps(sorted(files.sizes.items())).encode()):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    if content is not None and content.instances:
        bare = [
            str(record["file_name"]) for key, record in content.images.items() if key not in content.annotated
        ]
        if bare:
            kept = "training leaves them out" if name == "train" else "every detection there counts as false"
            notes.add(f"{path}.annotations", f"images without an instance ({kept}): {named(bare)}")
        unseen = [content.categories[one] for one, areas in content.areas.items() if not areas]
        if unseen:
            notes.add(f"{path}.annotations", f"categories without an instance: {named(unseen)}")
    return content, files


def _compare_categories(train: Mapping[int, str], val: Mapping[int, str], findings: Findings) -> None:
    if not train or not val or train == val:
        return
    only_train = [f"{key} {name}" for key, name in train.items() if key not in val]
    only_val = [f"{key} {name}" for key, name in val.items() if key not in train]
    renamed = [
        f"{key} is {name} in training and {val[key]} in validation"
        for key, name in train.items()
        if val.get(key, name) != name
    ]
    differences = [
        *([f"only in training: {named(only_train)}"] if only_train else []),
        *([f"only in validation: {named(only_val)}"] if only_val else []),
        *([named(renamed)] if renamed else []),
    ]
    findings.add(
        "dataset.val.annotations",
        f"categories differ from the training data's: {'; '.join(differences)}",
        hint="both files need the same ids and names under categories, used or not",
    )


def _overlap_counts(annotations: Path) -> dict[str, int]:
    """How many instances, or pairs of them, the metrics of overlapping objects count."""
    from runners.evaluation.truth import load_ground_truth  # noqa: PLC0415 - few specs ask for it

    truth = load_ground_truth(annotations)
    crowded, occluded = truth.overlaps.crowded, truth.overlaps.occluded
    return {
        "overlap/AP": int((crowded | occluded).sum()),
        "overlap/AP_crowded": int(crowded.sum()),
        "overlap/AP_occluded": int(occluded.sum()),
        "overlap/merge_rate": sum(map(len, truth.touching.values())),
    }


def _metrics(spec: SweepSpec) -> Iterator[tuple[str, str]]:
    for index, objective in enumerate(spec.objectives):
        yield f"objectives[{index}].metric", objective.metric
    for index, constraint in enumerate(spec.constraints):
        yield f"constraints[{index}].metric", constraint.metric


def _summary(content: CocoFile | None) -> SplitReport:
    if content is None:
        return SplitReport()
    return SplitReport(
        images=len(content.images),
        instances=content.instances,
        crowds=content.crowds,
        sizes=count_sizes(area for areas in content.areas.values() for area in areas),
        by_category={name: len(content.areas[key]) for key, name in content.categories.items()},
    )
