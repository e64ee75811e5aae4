"""Which trials TPE takes for good ones: what it makes of rungs, constraints and several objectives.

Source: Optuna's TPE; with several objectives Ozaki et al., Multiobjective Tree-Structured Parzen Estimator,
https://doi.org/10.1613/jair.1.13188.
"""

import math
from collections.abc import Sequence

import numpy as np
from optuna._hypervolume.hssp import _solve_hssp
from optuna.study._multi_objective import _fast_non_domination_rank

from sweeps.samplers.lessons import End, Lesson, Scores


def good_count(ended: int, objectives: int) -> int:
    """How many of so many trials count as good: a tenth, and with one objective 25 at most."""
    tenth = math.ceil(0.1 * ended)
    return min(tenth, 25) if objectives == 1 else tenth


def good_ones(taught: Sequence[Lesson], count: int) -> set[int]:
    """The numbers of the best trials.

    First comes what was measured at the last rung and kept the constraints, by its scores; then what was cut,
    those that came furthest first; then what broke constraints, by how much.

    Args:
        taught: Trials that ended and say something.
        count: Of the good ones, at most as many as there are trials.
    """
    whole = [lesson for lesson in taught if lesson.end is End.WHOLE and not lesson.violation]
    if len(whole) > count:
        return {whole[place].number for place in _best([lesson.final for lesson in whole], count)}
    rest = [lesson for lesson in taught if lesson.end is not End.WHOLE or lesson.violation]
    rest.sort(key=_after_the_whole)
    return {lesson.number for lesson in [*whole, *rest[: count - len(whole)]]}


def _after_the_whole(lesson: Lesson) -> tuple[float, float, float]:
    rung, got = lesson.last or (-1, ())
    return lesson.violation, -rung, -got[0] if len(got) == 1 else 0.0


def _best(points: Sequence[Scores], count: int) -> list[int]:
    """Places of the best of some points.

    Fronts come one after the other; one that has no room for all of its points keeps those that cover the
    most hypervolume.
    """
    if len(points[0]) == 1:
        return sorted(range(len(points)), key=lambda place: -points[place][0])[:count]
    losses = -np.asarray(points)
    ranks = _fast_non_domination_rank(losses, n_below=count)
    best: list[int] = []
    for rank in range(int(ranks.max()) + 1):
        front = np.flatnonzero(ranks == rank)
        room = count - len(best)
        if len(front) > room:
            worst = losses[front].max(axis=0)
            reference = np.maximum(1.1 * worst, 0.9 * worst)
            reference[reference == 0] = 1e-12
            front = _solve_hssp(losses[front], front, room, reference)
        best += [int(place) for place in front]
        if len(best) == count:
            break
    return best
