"""The analytic landscape: its optimum, its metrics and its shares."""

import math
import random

import pytest

from runners.curves.axes import draw, place, value_at
from runners.curves.landscape import COSTS, TOPS, Landscape
from search_spaces.presets import load_preset
from search_spaces.space import parse_space
from sweeps.core.metrics import METRICS
from sweeps.testing import make_spec

SPACES = {
    "of every kind": make_spec().space,
    "tiny": load_preset("mask_rcnn_tiny").space,
    "R_50": load_preset("mask_rcnn_R_50_FPN").space,
    "one choice": parse_space({"augment.flip": {"choices": ["none", "horizontal"]}})[0],
    "constants": parse_space({"mask_head.conv_dim": 64, "solver.base_lr": {"low": 0.1, "high": 0.1}})[0],
}


@pytest.fixture(params=SPACES)
def space(request):
    return SPACES[request.param]


def drawn(space, count, seed=0):
    rng = random.Random(seed)
    return [draw(space, rng) for _ in range(count)]


@pytest.mark.parametrize("number", range(5))
def test_nothing_beats_the_optimum(space, number):
    """It lies in the space, has the top value, can be trained, and no configuration is better."""
    landscape = Landscape(space, number, nans=0.1, out_of_memory=0.1)
    for metric in ("segm/AP", "segm/AP_tiny", "boundary/AP"):
        best = landscape.optimum(metric)
        assert space.contains(best)
        assert landscape.values([metric], best)[metric] == pytest.approx(TOPS[metric])
        others = [landscape.values([metric], params)[metric] for params in drawn(space, 300)]
        assert max(others) <= TOPS[metric] + 1e-9
    assert landscape.fits(landscape.optimum())
    assert not landscape.diverges(landscape.optimum())


def test_drawn_configurations_are_of_the_space(space):
    """Steps, logarithms and conditions included."""
    assert all(space.contains(params) for params in drawn(space, 300))


def test_a_value_is_found_again_at_its_place(space):
    """Places and values are each other's inverse on the grid of the space."""
    for params in drawn(space, 100):
        for parameter in space.parameters:
            if parameter.name in params:
                value = params[parameter.name]
                again = value_at(parameter, place(parameter, value))
                assert again == pytest.approx(value) if isinstance(value, float) else again == value


def test_every_metric_that_judges_has_a_value_in_its_unit():
    """Families by an example; shares stay within 0 and 100, and thresholds within 0 and 1."""
    names = [m.name.replace("<category>", "gear").replace("<bin>", "bolt") for m in METRICS if m.judges]
    ends = {"0..1": 1.0, "%": 100.0}
    landscape = Landscape(SPACES["of every kind"], 3, nans=0, out_of_memory=0)
    for params in drawn(SPACES["of every kind"], 50):
        values = landscape.values(names, params)
        for metric, value in zip([m for m in METRICS if m.judges], values.values(), strict=True):
            assert 0 <= value <= ends.get(metric.unit, math.inf)


def test_the_shares_of_the_space_are_about_those_asked_for():
    """Two numbers alone decide whether training diverges; the size of the model whether it fits."""
    space = SPACES["of every kind"]
    for number in range(5):
        landscape = Landscape(space, number, nans=0.1, out_of_memory=0.2)
        sample = drawn(space, 2000, seed=1)
        assert 0.01 < sum(map(landscape.diverges, sample)) / len(sample) < 0.15
        assert 0.01 < sum(not landscape.fits(params) for params in sample) / len(sample) < 0.25
        sound = Landscape(space, number, nans=0, out_of_memory=0)
        assert not any(sound.diverges(params) or not sound.fits(params) for params in sample)


def test_costs_rise_along_the_knobs_of_the_model_only():
    """What changes training alone costs nothing at inference."""
    space = SPACES["of every kind"]
    landscape = Landscape(space, 0, nans=0, out_of_memory=0)
    cheap = {"mask_head.name": "stock", "mask_head.num_conv": 1}
    cheap |= {"solver.base_lr": 0.01, "augment.brightness": 0.0}
    dear = {**cheap, "mask_head.num_conv": 8}
    bright = {**cheap, "augment.brightness": 0.5, "solver.base_lr": 0.0001}
    for name in COSTS:
        assert landscape.values([name], cheap)[name] < landscape.values([name], dear)[name]
        assert landscape.values([name], cheap) == landscape.values([name], bright)


def test_objectives_trade_off():
    """The best of one metric is not the best of another."""
    landscape = Landscape(SPACES["of every kind"], 0, nans=0, out_of_memory=0)
    at_main = landscape.values(["boundary/AP"], landscape.optimum())["boundary/AP"]
    assert 0.5 * TOPS["boundary/AP"] < at_main < 0.999 * TOPS["boundary/AP"]
