import pytest

from search_spaces.combinations import combinations, key_of
from search_spaces.parameters import CategoricalParameter, FloatParameter, IntParameter
from search_spaces.positions import count_of, place_of, position_of, value_at, value_number
from search_spaces.space import parse_space


def space_of(document):
    space, issues = parse_space(document)
    assert issues == []
    return space


RANGES = [
    FloatParameter("x", 0.0, 0.5),
    FloatParameter("x", 0.001, 0.1, log=True),
    FloatParameter("x", 0.0, 0.5, step=0.1),
    FloatParameter("x", 0.1, 0.75, step=0.2),
    IntParameter("x", 3, 17),
    IntParameter("x", 3, 17, step=4),
    IntParameter("x", 1, 1000, log=True),
    CategoricalParameter("x", (1, True, "1", 0.5)),
    CategoricalParameter("x", ("one",)),
]


@pytest.mark.parametrize("parameter", RANGES, ids=repr)
def test_every_position_has_a_value_and_every_value_its_position(parameter):
    """Positions stay inside the range, and come back from their values; the ends are reached."""
    values = [value_at(parameter, place / 200) for place in range(201)]
    assert all(parameter.contains(value) for value in values)
    for value in values:
        again = value_at(parameter, position_of(parameter, value))
        assert again == pytest.approx(value) if isinstance(value, float) else again is value or again == value
    if not isinstance(parameter, CategoricalParameter):
        assert values[0] == parameter.low
        assert values == sorted(values)
        assert values[-1] == (
            0.7
            if parameter.high == 0.75
            else 15
            if parameter.high == 17 and parameter.step == 4
            else parameter.high
        )


@pytest.mark.parametrize("parameter", [p for p in RANGES if count_of(p)], ids=repr)
def test_values_are_counted_and_found_again(parameter):
    """The values of a range with steps are legal, differ, and know their places."""
    values = [value_number(parameter, place) for place in range(count_of(parameter))]
    assert all(parameter.contains(value) for value in values)
    assert [place_of(parameter, value) for value in values] == list(range(len(values)))


def test_steps_have_the_values_that_people_write():
    """0.1 three times is 0.3, not 0.30000000000000004."""
    parameter = FloatParameter("x", 0.0, 0.5, step=0.1)
    assert [value_number(parameter, place) for place in range(6)] == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]


BRANCHED = {
    "mask_head.name": {"choices": ["stock", "strided", "pointrend"]},
    "mask_head.upsample_stride": {"choices": [1, 2, 4], "when": {"mask_head.name": "strided"}},
    "mask_head.num_conv": {"low": 2, "high": 3, "when": {"mask_head.name": ["stock", "strided"]}},
    "augment.flip": {"choices": ["none", "horizontal"]},
}


def test_only_active_parameters_make_a_difference():
    """A branch counts by its own parameters: 2 of stock, 6 of strided, 1 of pointrend; each with a flip."""
    space = space_of(BRANCHED)
    found = combinations(space)
    assert found.size == (2 + 6 + 1) * 2
    listed = [found[number] for number in range(found.size)]
    assert all(space.contains(params) for params in listed)
    assert len({key_of(space, params) for params in listed}) == found.size
    with pytest.raises(IndexError):
        found[found.size]


def test_a_range_without_steps_has_no_end_unless_points_are_given():
    """With points, both ends are among them, and a logarithmic scale has its middle in the middle."""
    space = space_of({"solver.base_lr": {"low": 0.001, "high": 0.1, "log": True}})
    assert combinations(space) is None
    found = combinations(space, points=3)
    assert [found[n]["solver.base_lr"] for n in range(3)] == pytest.approx([0.001, 0.01, 0.1])
    assert combinations(space, points=1)[0]["solver.base_lr"] == pytest.approx(0.01)


def test_a_space_beyond_counting_is_counted():
    """Assignments are made from their number, not listed."""
    document = {
        f"augment.{name}": {"low": 0.0, "high": 0.9} for name in ("brightness", "contrast", "saturation")
    }
    document |= {"augment.rotation": {"low": 0, "high": 180}, "augment.copy_paste": {"low": 0, "high": 1}}
    document |= {
        "mask_head.loss_weight": {"low": 0.1, "high": 10},
        "solver.base_lr": {"low": 0.001, "high": 1},
    }
    space = space_of(document)
    found = combinations(space, points=1000)
    assert found.size == 1000**7
    assert space.contains(found[found.size - 1])


def test_equal_assignments_have_equal_keys():
    """However a step was computed, and in whatever order; true is not 1."""
    space = space_of({"augment.brightness": {"low": 0.0, "high": 0.5, "step": 0.1}, **BRANCHED})
    params = {"augment.brightness": 0.3, "mask_head.name": "pointrend", "augment.flip": "none"}
    other = dict(reversed(params.items())) | {"augment.brightness": 0.1 + 0.2}
    assert key_of(space, params) == key_of(space, other)
    assert key_of(space, params) != key_of(space, other | {"augment.brightness": 0.2})
