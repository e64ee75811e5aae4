"""The densities behind TPE are densities; that its suggestions are Optuna's is in test_samplers.py."""

import numpy as np
import pytest

from search_spaces.parameters import CategoricalParameter, FloatParameter, IntParameter
from search_spaces.positions import count_of, value_number
from sweeps.samplers.density import Density

STEPPED = [
    IntParameter("x", 1, 8),
    IntParameter("x", 2, 64, log=True),
    FloatParameter("x", 0.0, 0.5, step=0.1),
    CategoricalParameter("x", ("a", "b", "c")),
]
SMOOTH = [FloatParameter("x", -1.0, 3.0), FloatParameter("x", 1e-4, 0.1, log=True)]


def column(parameter, trials):
    """Values of so many trials, on one side of the range."""
    if count_of(parameter) is None:
        at = np.linspace(0.0, 0.3, trials) ** 2
        if parameter.log:
            return parameter.low * (parameter.high / parameter.low) ** at
        return parameter.low + at * (parameter.high - parameter.low)
    places = [place * place % max(2, count_of(parameter) // 2) for place in range(trials)]
    if isinstance(parameter, CategoricalParameter):
        return np.asarray(places, dtype=float)
    return np.asarray([float(value_number(parameter, place)) for place in places])


@pytest.mark.parametrize("trials", [0, 1, 2, 30, 200])
@pytest.mark.parametrize("parameter", STEPPED, ids=repr)
def test_masses_of_all_values_make_one(parameter, trials):
    """Of a range with steps and of choices, whatever was tried."""
    density = Density([parameter], {"x": column(parameter, trials)})
    values = [
        float(place) if isinstance(parameter, CategoricalParameter) else float(value_number(parameter, place))
        for place in range(count_of(parameter))
    ]
    assert np.exp(density.log_pdf({"x": np.asarray(values)})).sum() == pytest.approx(1)


@pytest.mark.parametrize("trials", [0, 1, 2, 30, 200])
@pytest.mark.parametrize("parameter", SMOOTH, ids=repr)
def test_a_density_integrates_to_one(parameter, trials):
    """Over a range, in its logarithm if it has a logarithmic scale."""
    ends = np.asarray([parameter.low, parameter.high])
    at = np.linspace(*(np.log(ends) if parameter.log else ends), 20_001)
    inner = np.clip(np.exp(at) if parameter.log else at, parameter.low, parameter.high)
    heights = np.exp(Density([parameter], {"x": column(parameter, trials)}).log_pdf({"x": inner}))
    assert np.trapezoid(heights, at) == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize("parameter", STEPPED + SMOOTH, ids=repr)
def test_draws_are_legal_and_lie_where_the_density_is(parameter):
    """Most draws are on the side of the range where the trials were."""
    density = Density([parameter], {"x": column(parameter, 60)})
    drawn = density.sample(np.random.RandomState(1), 2000)["x"]
    if isinstance(parameter, CategoricalParameter):
        assert set(drawn) == {0.0, 1.0, 2.0}
        assert (drawn < 2).mean() > 0.8
        return
    assert parameter.low <= drawn.min() <= drawn.max() <= parameter.high
    if count_of(parameter) is not None:
        legal = {round(float(value_number(parameter, place)), 9) for place in range(count_of(parameter))}
        assert set(drawn.round(9).tolist()) <= legal
    tried = column(parameter, 60)
    assert (drawn <= tried.max()).mean() > 0.6


def test_old_trials_weigh_less_and_equal_ones_alike():
    """Of 200 trials the first were at one choice and the last at the other."""
    parameter, places = CategoricalParameter("x", ("old", "new")), np.repeat([0.0, 1.0], 100)
    fading, equal = (
        np.exp(Density([parameter], {"x": places}, weights).log_pdf({"x": np.asarray([0.0, 1.0])}))
        for weights in (None, np.ones(200))
    )
    assert fading[1] > 2 * fading[0]
    assert equal[1] == pytest.approx(equal[0])


def test_a_value_far_from_every_trial_has_a_density():
    """The kernel of the whole range leaves no value without a chance, in whichever tail."""
    parameter = FloatParameter("x", 0.0, 1.0, step=0.001)
    for at, far in ((0.0, 1.0), (1.0, 0.0)):
        density = Density([parameter], {"x": np.full(500, at)})
        assert np.isfinite(density.log_pdf({"x": np.asarray([far, at])})).all()
