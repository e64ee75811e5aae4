"""What scores on the way come to: lines from rung to rung, through trials that have both scores.

So it is with regression on partial learning curves: Baker et al., Accelerating Neural Architecture Search
using Performance Prediction, https://arxiv.org/abs/1705.10823.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sweeps.core.fronts import Vector

PAIRS = 60
"""How many trials a line is fitted to: the newest, as the search has moved on since the others."""

_LEAST = 5  # pairs to fit a slope to
_RIDGE = 0.1  # how much the slope is drawn towards 1, as a share of what there is to see


@dataclass(frozen=True, slots=True)
class Line:
    """Scores at the next rung by those at one: `slope * score + shift`, give or take a standard deviation."""

    slope: float = 1.0
    shift: float = 0.0
    deviation: float = 0.0


class Outlook:
    """What trials come to at the last rung, as others did.

    Args:
        courses: Of trials, old ones first, their scores by rung, from 0.
        rungs: How many there are.
        objectives: How many there are.
    """

    def __init__(self, courses: Sequence[Mapping[int, Vector]], rungs: int, objectives: int) -> None:
        newest = [_newest(courses, rung) for rung in range(rungs - 1)]
        self._lines = [
            [fit([(before[place], after[place]) for before, after in pairs]) for pairs in newest]
            for place in range(objectives)
        ]

    def of(self, rung: int, scores: Vector, deviations: float) -> Vector:
        """The expected scores of a trial, with so many standard deviations added of what is not known.

        Args:
            rung: Where it was measured last.
            scores: What it had there.
            deviations: Above 0 to be hopeful, below 0 to be cautious.
        """
        return tuple(
            extrapolated(score, lines[rung:], deviations)
            for score, lines in zip(scores, self._lines, strict=True)
        )


def fit(pairs: Sequence[tuple[float, float]]) -> Line:
    """The line through (score at a rung, score at the next); with few pairs, their median gain."""
    if len(pairs) < _LEAST:
        gains = sorted(after - before for before, after in pairs)
        return Line(shift=gains[len(gains) // 2]) if gains else Line()
    mean_x = math.fsum(x for x, _ in pairs) / len(pairs)
    mean_y = math.fsum(y for _, y in pairs) / len(pairs)
    spread = math.fsum((x - mean_x) ** 2 for x, _ in pairs)
    common = math.fsum((x - mean_x) * (y - mean_y) for x, y in pairs)
    pull = _RIDGE * spread
    slope = max(0.0, (common + pull) / (spread + pull)) if spread else 1.0
    shift = mean_y - slope * mean_x
    left = math.fsum((y - slope * x - shift) ** 2 for x, y in pairs)
    return Line(slope, shift, math.sqrt(left / len(pairs)))


def extrapolated(score: float, lines: Iterable[Line], deviations: float) -> float:
    """The score after some lines, with so many standard deviations added to what is expected."""
    variance = 0.0
    for line in lines:
        score = line.slope * score + line.shift
        variance = line.slope**2 * variance + line.deviation**2
    return score + deviations * math.sqrt(variance)


def _newest(courses: Sequence[Mapping[int, Vector]], rung: int) -> list[tuple[Vector, Vector]]:
    """Scores at a rung and the next."""
    found: list[tuple[Vector, Vector]] = []
    for course in reversed(courses):
        if rung in course and rung + 1 in course:
            found.append((course[rung], course[rung + 1]))
            if len(found) == PAIRS:
                break
    return found[::-1]
