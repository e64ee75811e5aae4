"""Which trials TPE takes for good ones: what it makes of rungs, constraints and several objectives.

Source: Optuna's TPE; with several objectives Ozaki et al., Multiobjective Tree-Structured Parzen Estimator,
https://doi.org/10.1613/jair.1.13188.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from optuna._hypervolume.hssp import _solve_hssp
from optuna.study._multi_objective import _fast_non_domination_rank

from sweeps.core.hypervolume import corner, gain
from sweeps.samplers.lessons import End, Lesson, Scores

_LEAST_WEIGHT = 1e-6  # a density needs one above 0
_LEAST_SHARE = 0.3  # that a point of a front weighs which adds nothing to it


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


def promising(measured: Sequence[Lesson], expected: Mapping[int, Scores], count: int) -> dict[int, float]:
    """The numbers of the best trials by what they are expected to come to, with the weight of each.

    First comes what keeps the constraints, then what breaks them, by how much. With one objective a weight is
    by how much more is expected than of the best trial that is not among them, as with expected improvement:
    else many equal trials would draw the search away from a better one. With several it is what a trial adds
    to the hypervolume of the good ones, and a little. On average weights are about 1.

    Source: Watanabe, Tree-Structured Parzen Estimator, https://arxiv.org/abs/2304.11127.

    Args:
        measured: Trials that say something.
        expected: Of all of them but the BAD ones, by number.
        count: Of the good ones, at most as many as there are trials.
    """
    sound = [each for each in measured if each.number in expected and not each.violation]
    if len(sound) <= count:
        rest = [each for each in measured if each.number not in expected or each.violation]
        rest.sort(key=lambda each: (each.violation, [-score for score in expected.get(each.number, ())]))
        return {each.number: 1.0 for each in [*sound, *rest[: count - len(sound)]]}
    points = [expected[each.number] for each in sound]
    good = _best(points, count)
    if len(points[0]) > 1:
        return _lonely({sound[place].number: points[place] for place in good}, corner(points))
    chosen = set(good)
    bar = max(point[0] for place, point in enumerate(points) if place not in chosen)
    gains = {sound[place].number: points[place][0] - bar for place in good}
    mean = math.fsum(gains.values()) / len(gains)
    return {number: gain / mean + _LEAST_WEIGHT if mean else 1.0 for number, gain in gains.items()}


def _lonely(good: Mapping[int, Scores], worst: Scores) -> dict[int, float]:
    """Weights of points, by number: what each adds to the hypervolume of the others."""
    added = {
        number: gain(point, [other for key, other in good.items() if key != number], worst)
        for number, point in good.items()
    }
    mean = math.fsum(added.values()) / len(added)
    return {number: each / mean + _LEAST_SHARE if mean else 1.0 for number, each in added.items()}


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
