"""Whether the validation data can measure what a sweep asks for."""

from collections.abc import Iterable, Sequence

from search_spaces.issues import SpecIssue, did_you_mean, listed

# COCO's area ranges in px², both ends included (pycocotools' Params.areaRng)
SIZES = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
_SIZE_OF_METRIC = {"APs": "small", "APm": "medium", "APl": "large"}
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
    metrics: Iterable[tuple[str, str]], names: Sequence[str], areas: dict[str, list[float]]
) -> list[SpecIssue]:
    """The metrics that come out as -1 or not at all on this data.

    Args:
        metrics: (path in the spec, metric) pairs.
        names: The data's categories.
        areas: For each category the areas of its validation instances, in px².
    """
    every_area = [area for some in areas.values() for area in some]
    sizes = count_sizes(every_area)
    issues = []
    for path, metric in metrics:
        name = metric.split("/", 1)[-1]
        if name.startswith("AP-"):
            category = name.removeprefix("AP-")
            if category not in names:
                problem = f"got {metric}, but {category} is not one of {listed(names)}"
                issues.append(SpecIssue(path, problem, did_you_mean(category, names)))
            elif not areas.get(category):
                problem = f"{metric} cannot be measured: no validation instance of {category}"
                issues.append(SpecIssue(path, problem))
        elif every_area and name in _SIZE_OF_METRIC and not sizes[_SIZE_OF_METRIC[name]]:
            size = _SIZE_OF_METRIC[name]
            counts = ", ".join(f"{count} {other}" for other, count in sizes.items() if other != size)
            problem = (
                f"{metric} cannot be measured: no {size} validation instance ({_EXTENT[size]}), but {counts}"
            )
            measurable = [one for one, its_size in _SIZE_OF_METRIC.items() if sizes[its_size]]
            prefix = metric.split("/", 1)[0]
            choices = " or ".join(f"{prefix}/{one}" for one in ("AP", *measurable))
            issues.append(SpecIssue(path, problem, f"this data can measure {choices}"))
    return issues
