"""Whether the validation data can measure what a sweep asks for."""

from collections.abc import Iterable, Mapping, Sequence

from search_spaces.issues import SpecIssue, did_you_mean, listed
from sweeps.core.metrics import category_of_metric
from sweeps.core.size_bins import MIN_INSTANCES, STANDARD_BINS, SizeBins, bin_of_metric

# COCO's area ranges in px², both ends included (pycocotools' Params.areaRng)
SIZES = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
_SIZE_OF_METRIC = {
    f"{kind}{letter}": size
    for kind in ("AP", "AR")
    for letter, size in (("s", "small"), ("m", "medium"), ("l", "large"))
}
_EXTENT = {
    "small": "up to 32 x 32 px",
    "medium": "from 32 x 32 to 96 x 96 px",
    "large": "of 96 x 96 px and more",
}


def count_sizes(areas: Iterable[float]) -> dict[str, int]:
    """How many areas, in px², fall into each of COCO's ranges; one on a border falls into both."""
    areas = list(areas)
    return {size: sum(low <= area <= high for area in areas) for size, (low, high) in SIZES.items()}


def unmeasurable(
    metrics: Iterable[tuple[str, str]],
    names: Sequence[str],
    areas: dict[str, list[float]],
    bins: SizeBins = STANDARD_BINS,
) -> list[SpecIssue]:
    """The metrics that this data cannot measure, or on too few instances to tell trials apart.

    Args:
        metrics: (path in the spec, metric) pairs.
        names: The data's categories.
        areas: For each category the areas of its validation instances, in px².
        bins: Size bins by name, in px.
    """
    every_area = [area for some in areas.values() for area in some]
    sizes = count_sizes(every_area)
    issues = []
    for path, metric in metrics:
        prefix, name = metric.split("/", 1)
        size_bin = bin_of_metric(metric)
        category = category_of_metric(metric)
        if category is not None:
            if category not in names:
                problem = f"got {metric}, but {category} is not one of {listed(names)}"
                issues.append(SpecIssue(path, problem, did_you_mean(category, names)))
            elif not areas.get(category):
                problem = f"{metric} cannot be measured: no validation instance of {category}"
                issues.append(SpecIssue(path, problem))
        elif every_area and name in _SIZE_OF_METRIC and not sizes[_SIZE_OF_METRIC[name]]:
            issues.append(_without_size(path, prefix, name, sizes))
        elif every_area and size_bin is not None and size_bin in bins:
            issues += _too_thin(path, metric, size_bin, count_in_bins(every_area, bins), bins)
    return issues


def unmeasurable_overlaps(metrics: Iterable[tuple[str, str]], counts: Mapping[str, int]) -> list[SpecIssue]:
    """The metrics of overlapping objects that rest on too few of these.

    Args:
        metrics: (path in the spec, metric) pairs.
        counts: Metric -> validation instances, or pairs of them, that it counts.
    """
    issues = []
    for path, metric in metrics:
        if counts.get(metric, MIN_INSTANCES) < MIN_INSTANCES:
            what = "touching pairs" if metric.endswith("merge_rate") else "such validation instances"
            problem = f"{metric} cannot tell trials apart: {counts[metric]} {what}, but needs {MIN_INSTANCES}"
            enough = [other for other, count in counts.items() if count >= MIN_INSTANCES]
            issues.append(
                SpecIssue(path, problem, f"this data can measure {' or '.join(['segm/AP', *enough])}")
            )
    return issues


def count_in_bins(areas: Iterable[float], bins: SizeBins) -> dict[str, int]:
    """How many areas, in px², fall into each bin; one on a border falls into both."""
    areas = list(areas)
    return {name: sum(low**2 <= area <= high**2 for area in areas) for name, (low, high) in bins.items()}


def _without_size(path: str, prefix: str, name: str, sizes: dict[str, int]) -> SpecIssue:
    size = _SIZE_OF_METRIC[name]
    counts = ", ".join(f"{count} {other}" for other, count in sizes.items() if other != size)
    problem = (
        f"{prefix}/{name} cannot be measured: no {size} validation instance ({_EXTENT[size]}), but {counts}"
    )
    kind = name[:2]
    same_kind = [one for one, its_size in _SIZE_OF_METRIC.items() if one.startswith(kind) and sizes[its_size]]
    overall = ["AP"] if kind == "AP" else []
    choices = " or ".join(f"{prefix}/{one}" for one in (*overall, *same_kind))
    return SpecIssue(path, problem, f"this data can measure {choices}")


def _too_thin(path: str, metric: str, name: str, counts: dict[str, int], bins: SizeBins) -> list[SpecIssue]:
    if counts[name] >= MIN_INSTANCES:
        return []
    low, high = bins[name]
    others = ", ".join(f"{count} {other}" for other, count in counts.items() if other != name)
    problem = (
        f"{metric} cannot tell trials apart: {counts[name]} validation instances of {low:g} to {high:g} px, "
        f"but needs {MIN_INSTANCES}; there are {others}"
    )
    enough = [other for other, count in counts.items() if count >= MIN_INSTANCES]
    choices = " or ".join(f"segm/{one}" for one in ("AP", *(f"AP_{other}" for other in enough)))
    return [SpecIssue(path, problem, f"this data can measure {choices}")]
