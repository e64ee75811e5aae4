"""Order among trials with several objectives."""

from itertools import permutations

import pytest

from sweeps.core.fronts import Standing, among_best, beats, best_first, crowding

INF = float("inf")


def kept(*scores: tuple[float, ...]) -> list[Standing]:
    return [Standing(0.0, each) for each in scores]


def test_constraints_come_before_objectives():
    """What breaks the constraints less is better, whatever its values; then domination decides."""
    good, poor, cheat = Standing(0.0, (2.0, 2.0)), Standing(0.0, (1.0, 2.0)), Standing(5.0, (9.0, 9.0))
    assert beats(good, poor)
    assert beats(poor, cheat)
    assert not beats(cheat, poor)
    assert not beats(good, good)
    assert not beats(Standing(0.0, (1.0, 3.0)), good)


def test_space_on_a_front():
    """The best in each objective have all the space there is, the others what lies between neighbours."""
    front = [(0.0, 10.0), (1.0, 9.0), (2.0, 5.0), (10.0, 0.0)]
    assert crowding(front) == {
        (0.0, 10.0): INF,
        (1.0, 9.0): pytest.approx(2 / 10 + 5 / 10),
        (2.0, 5.0): pytest.approx(9 / 10 + 9 / 10),
        (10.0, 0.0): INF,
    }


def test_with_three_objectives_only_the_best_in_one_are_protected():
    """Being worst in an objective is no distinction, and one in which all are equal says nothing."""
    front = [(3.0, 0.0, 1.0, 7.0), (0.0, 3.0, 1.5, 7.0), (2.0, 2.0, 0.0, 7.0), (1.0, 1.0, 2.0, 7.0)]
    space = crowding(front)
    assert [space[point] == INF for point in front] == [True, True, False, True]


def test_a_lone_point_is_the_best_in_everything():
    """One point is the whole front, in however many objectives."""
    assert crowding([(1.0, 2.0)]) == {(1.0, 2.0): INF}


def test_earlier_fronts_come_first():
    """A trial on the second front has the whole first one before it."""
    first = kept((0.0, 10.0), (5.0, 5.0), (10.0, 0.0))
    mine = Standing(0.0, (4.0, 4.5))
    assert not among_best(mine, first, 1)
    assert among_best(Standing(0.0, (4.0, 5.5)), first, 4)
    second = kept((4.0, 4.6))
    assert not among_best(mine, first + second, 4)
    assert among_best(mine, first + second, 5)


def test_on_the_same_front_the_less_crowded_come_first():
    """Of two that nobody dominates the one with more space around it is kept."""
    ends = kept((0.0, 10.0), (10.0, 0.0))
    lonely, near, next_to = kept((4.0, 6.0), (9.0, 1.5), (9.5, 1.0))
    assert among_best(lonely, [*ends, near, next_to], 3)
    assert not among_best(near, [*ends, lonely, next_to], 3)
    assert not among_best(next_to, [*ends, lonely, near], 3)


def test_equals_share_a_place():
    """As in successive halving: what is as good as a trial that passes is not worse than it."""
    same = kept((1.0, 2.0))[0]
    assert among_best(same, [same] * 10, 1)


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_the_order_of_the_others_does_not_matter(order):
    """The same others in any order give the same answers."""
    points = [(1.0, 8.0), (2.0, 7.0), (2.5, 6.9), (9.0, 1.0)]
    others = kept(*(points[at] for at in order))
    answers = [among_best(Standing(0.0, (2.2, 6.95)), others, places) for places in (1, 2, 3, 4, 5)]
    assert answers == [False, False, False, False, True]


def test_where_nobody_keeps_the_constraints_the_nearest_comes_first():
    """Then by how much they are broken, and being best in an objective protects nobody who is further off."""
    near, far = Standing(1.0, (1.0, 1.0)), Standing(2.0, (9.0, 9.0))
    assert among_best(near, [far], 1)
    assert not among_best(far, [near], 1)


def test_points_come_front_by_front_and_the_loneliest_first():
    """The ends of a front come before its middle, and the crowded middle before the next front."""
    front = [(0.0, 10.0), (1.0, 9.0), (2.0, 8.0), (10.0, 0.0)]
    assert list(best_first([(0.0, 0.0), *front, (0.0, 10.0)])) == [
        (10.0, 0.0),
        (0.0, 10.0),
        (2.0, 8.0),
        (1.0, 9.0),
        (0.0, 0.0),
    ]
