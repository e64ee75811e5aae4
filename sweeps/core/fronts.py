"""Order among trials with several objectives: constraints, non-dominated fronts, and crowding within a front.

Constrained domination, fronts and crowding distance: Deb et al., A fast and elitist multiobjective genetic
algorithm: NSGA-II, IEEE Transactions on Evolutionary Computation 6(2), 2002.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import ge

from sweeps.core.ranking import dominates

Vector = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """A trial at a rung.

    Attributes:
        violation: By how much it breaks the constraints; 0 if it keeps them.
        scores: One finite value an objective; larger is better.
    """

    violation: float
    scores: Vector


def beats(a: Standing, b: Standing) -> bool:
    """Whether `a` breaks the constraints less than `b`, or as little and dominates it."""
    if a.violation != b.violation:
        return a.violation < b.violation
    return dominates(a.scores, b.scores)


def among_best(mine: Standing, others: Collection[Standing], places: int) -> bool:
    """Whether fewer than `places` of the others come before `mine`.

    Before it comes what breaks the constraints less; then, of what breaks them as little, what lies on an
    earlier front, or on the same front where it is less crowded. Equals share a place. So the answer does not
    depend on the order of the others, and who is best in one objective of all that break the constraints as
    little as any is always among the best.

    Args:
        mine: The trial in question, not among
        others: whom it is compared with.
        places: At least 1.
    """
    before = sum(other.violation < mine.violation for other in others)
    peers = [other.scores for other in others if other.violation == mine.violation]
    # all that dominate it are on earlier fronts: mostly this decides, and fronts are not needed
    if before + sum(dominates(peer, mine.scores) for peer in peers) >= places:
        return False
    counts = Counter(peers)
    remaining = sorted({mine.scores, *peers}, reverse=True)  # nobody is dominated by a later one
    while True:
        front, remaining = _first_front(remaining)
        if mine.scores in front:
            break
        before += sum(counts[point] for point in front)
        if before >= places:
            return False
    space = crowding(front)
    before += sum(counts[point] for point in front if space[point] > space[mine.scores])
    return before < places


def best_first(points: Collection[Vector]) -> Iterator[Vector]:
    """Points that differ, by front, then by crowding, the loneliest of a front first."""
    remaining = sorted(set(points), reverse=True)
    while remaining:
        front, remaining = _first_front(remaining)
        space = crowding(front)
        yield from sorted(front, key=lambda point: space[point], reverse=True)


def crowding(front: Sequence[Vector]) -> Mapping[Vector, float]:
    """How much space each point of a front has to itself, infinite for the best in an objective.

    The space is the distance between its neighbours in each objective, as a share of the front's range, in
    sum; at the worse end, where there is one neighbour, twice the distance to it. Of several points that are
    equally good in an objective one counts as the best, and an objective in which all are equal says nothing.

    Args:
        front: Points that differ, none of which dominates another; not empty.
    """
    space = dict.fromkeys(front, 0.0)
    for objective in range(len(front[0])):
        ascending = sorted((point[objective], point) for point in front)
        values, points = [value for value, _ in ascending], [point for _, point in ascending]
        extent = values[-1] - values[0]
        if extent or len(front) == 1:
            space[points[-1]] = float("inf")
        if not extent:
            continue
        space[points[0]] += 2 * (values[1] - values[0]) / extent
        for place in range(1, len(values) - 1):
            space[points[place]] += (values[place + 1] - values[place - 1]) / extent
    return space


def _first_front(points: Sequence[Vector]) -> tuple[list[Vector], list[Vector]]:
    """Points that none dominates, and the rest in order; `points` differ and descend."""
    front: list[Vector] = []
    rest: list[Vector] = []
    two, highest = len(points[0]) == 2, float("-inf")
    for point in points:
        if two:  # all before it are as good in the first objective: the second decides
            behind, highest = point[1] <= highest, max(highest, point[1])
        else:
            behind = any(all(map(ge, better, point)) for better in front)
        (rest if behind else front).append(point)
    return front, rest
