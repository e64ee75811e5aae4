"""The space that trials dominate, in two objectives or more; larger scores are better."""

import math
from collections.abc import Collection, Iterable, Sequence

from sweeps.core.fronts import Vector
from sweeps.core.ranking import dominates

_MARGIN = 0.1  # beyond the worst, as a share of the range: else what is best in one objective adds nothing


def corner(points: Collection[Vector]) -> Vector:
    """Where hypervolumes of some points are measured from: a little worse than all in each objective."""
    columns = list(zip(*points, strict=True))
    return tuple(min(column) - _MARGIN * (max(column) - min(column) or 1.0) for column in columns)


def hypervolume(points: Iterable[Vector], worst: Vector) -> float:
    """What points dominate, down to the worst corner: by slices along the last objective.

    Source: While et al., A Faster Algorithm for Calculating Hypervolume, IEEE TEC 10(1), 2006.

    Args:
        points: Any; what is not better than the corner in each objective adds nothing.
        worst: The corner.
    """
    inside = [p for p in points if all(score > bad for score, bad in zip(p, worst, strict=True))]
    return _sliced(inside, worst)


def gain(point: Vector, others: Iterable[Vector], worst: Vector) -> float:
    """How much a point adds to what others dominate: its box, less what they have of it.

    Source: While et al., A Fast Way of Calculating Exact Hypervolumes, IEEE TEC 16(1), 2012.
    """
    box = math.prod(max(0.0, score - bad) for score, bad in zip(point, worst, strict=True))
    if not box:
        return 0.0
    within = {tuple(map(min, point, other)) for other in others}
    return box - hypervolume([p for p in within if not any(dominates(q, p) for q in within)], worst)


def _sliced(points: Sequence[Vector], worst: Vector) -> float:
    if not points:
        return 0.0
    if len(worst) == 1:
        return max(point[0] for point in points) - worst[0]
    descending = sorted(points, key=lambda point: -point[-1])
    if len(worst) == 2:
        area, reached = 0.0, worst[0]
        for first, second in descending:
            if first > reached:
                area += (first - reached) * (second - worst[1])
                reached = first
        return area
    total = 0.0
    for place, point in enumerate(descending):
        below = descending[place + 1][-1] if place + 1 < len(descending) else worst[-1]
        if point[-1] > below:
            slice_ = [each[:-1] for each in descending[: place + 1]]
            total += (point[-1] - below) * _sliced(slice_, worst[:-1])
    return total
