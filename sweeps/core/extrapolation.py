"""What a score on the way comes to: lines from rung to rung, through trials that have both scores.

So it is with regression on partial learning curves: Baker et al., Accelerating Neural Architecture Search
using Performance Prediction, https://arxiv.org/abs/1705.10823.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

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
