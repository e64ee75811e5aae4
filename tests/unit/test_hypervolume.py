"""The space that points dominate: by hand, and against Optuna's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna._hypervolume import compute_hypervolume

from sweeps.core.hypervolume import corner, gain, hypervolume

SCORES = st.integers(-3, 4).map(float)
SOME = st.integers(1, 4).flatmap(lambda n: st.lists(st.tuples(*[SCORES] * n), min_size=1, max_size=8))


def test_points_dominate_the_boxes_between_them_and_the_corner():
    """What is counted twice counts once, and what is not better than the corner not at all."""
    assert hypervolume([(3.0, 1.0), (1.0, 3.0), (1.0, 1.0)], (0.0, 0.0)) == 5
    assert hypervolume([(2.0, 2.0, 2.0), (3.0, 1.0, 1.0)], (0.0, 0.0, 0.0)) == 9
    assert hypervolume([(5.0, 0.0), (-1.0, 9.0)], (0.0, 0.0)) == hypervolume([], (0.0, 0.0)) == 0


@settings(max_examples=200, deadline=None)
@given(SOME)
def test_it_is_what_optuna_computes(points):
    """In one to four objectives, with equal points among them."""
    worst = tuple(-3.5 for _ in points[0])
    assert hypervolume(points, worst) == pytest.approx(
        compute_hypervolume(-np.asarray(points), -np.asarray(worst))
    )


@settings(max_examples=200, deadline=None)
@given(SOME, st.data())
def test_a_gain_is_what_a_point_adds(points, data):
    """Nothing where it is dominated or known."""
    point = data.draw(st.tuples(*[SCORES] * len(points[0])))
    worst = corner([*points, point])
    added = hypervolume([*points, point], worst) - hypervolume(points, worst)
    assert gain(point, points, worst) == pytest.approx(added)
    assert gain(points[0], points, worst) == 0


def test_the_corner_is_worse_than_the_worst():
    """So that who is best in one objective and worst in the other adds something."""
    assert corner([(1.0, 10.0), (2.0, 0.0), (1.5, 4.0)]) == (pytest.approx(0.9), -1.0)
    assert corner([(1.0, 5.0)]) == (pytest.approx(0.9), pytest.approx(4.9))
