"""Corners are points of the space, each once, the edges of every parameter among them."""

from search_spaces.corners import COSTLESS, centre, corners, extremes, largest, smallest
from search_spaces.knobs import knob_names
from search_spaces.parameters import CategoricalParameter
from search_spaces.space import parse_space
from sweeps.testing import SPACE


def space(document=SPACE):
    parsed, issues = parse_space(document)
    assert parsed is not None, issues
    return parsed


def test_every_corner_is_a_point_of_the_space_and_comes_once():
    found = corners(space())
    assert all(space().contains(point) for point in found)
    assert len({repr(point) for point in found}) == len(found)


def test_each_choice_and_each_end_is_tried_somewhere():
    found = corners(space())
    for parameter in space().parameters:
        if isinstance(parameter, CategoricalParameter):
            wanted = set(parameter.choices)
        else:
            wanted = {parameter.low, parameter.high}
        assert wanted <= {point[parameter.name] for point in found if parameter.name in point}


def test_the_largest_has_the_greatest_numbers_and_the_smallest_the_least():
    """A learning rate has no part in it: the steepest would only diverge."""
    free = space(
        {
            "mask_head.conv_dim": {"choices": [64, 256, 128]},
            "solver.batch_size": {"low": 1, "high": 8},
            "solver.base_lr": {"low": 0.0001, "high": 0.01, "log": True},
        }
    )
    middle = centre(free)["solver.base_lr"]
    assert largest(free) == {"mask_head.conv_dim": 256, "solver.batch_size": 8, "solver.base_lr": middle}
    assert smallest(free) == {"mask_head.conv_dim": 64, "solver.batch_size": 1, "solver.base_lr": middle}
    assert abs(float(middle) - 0.001) < 1e-9


def test_each_kind_of_model_is_among_the_extremes_with_all_else_large():
    """Which of two heads is dearer nobody knows before it is tried; what a head does not read is left out."""
    found = extremes(space())
    assert found[:3] == [largest(space()), centre(space()), smallest(space())]
    strided, stock = (
        next(p for p in found if p["mask_head.name"] == name and p["mask_head.num_conv"] == 8)
        for name in ("strided", "stock")
    )
    assert strided["mask_head.upsample_stride"] == 4
    assert "mask_head.upsample_stride" not in stock


def test_what_costs_nothing_are_knobs():
    assert set(COSTLESS) <= set(knob_names())


def test_what_changes_the_model_is_tried_before_what_changes_training():
    names = ("solver.base_lr", "augment.brightness")
    middle = centre(space())
    others = corners(space())[len(extremes(space())) :]
    alone = [{name for name in point if point[name] != middle.get(name)} for point in others]
    training = [changed <= set(names) for changed in alone]
    assert training == sorted(training)
