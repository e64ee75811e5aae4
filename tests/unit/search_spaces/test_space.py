"""Search spaces: parameters, conditions, membership and digests."""

from search_spaces.parameters import CategoricalParameter, FloatParameter, IntParameter
from search_spaces.space import SearchSpace, parse_space, space_document


def space_of(raw: dict[str, object]) -> SearchSpace:
    space, issues = parse_space(raw)
    assert issues == []
    assert space is not None
    return space


BRANCHED = {
    "mask_head.upsample_stride": {"choices": [1, 4], "when": {"mask_head.name": "strided"}},
    "mask_head.conv_dim": {"choices": [32, 64], "when": {"mask_head.upsample_stride": [4]}},
    "mask_head.name": {"choices": ["stock", "strided"]},
}


def test_ranges_choices_and_constants() -> None:
    """Each form of an entry becomes its kind of parameter; a bare value is a single choice."""
    space = space_of(
        {
            "solver.base_lr": {"low": "1e-4", "high": 1, "log": "yes"},
            "augment.brightness": {"low": 0, "high": 0.4, "step": 0.1},
            "solver.batch_size": {"low": 2, "high": 8, "step": 2},
            "augment.flip": "none",
            "mask_head.class_agnostic": {"choices": [True, "no"]},
        }
    )
    assert space.parameters == (
        CategoricalParameter("mask_head.class_agnostic", (True, False)),
        FloatParameter("solver.base_lr", 0.0001, 1.0, log=True),
        IntParameter("solver.batch_size", 2, 8, step=2),
        CategoricalParameter("augment.flip", ("none",)),
        FloatParameter("augment.brightness", 0.0, 0.4, step=0.1),
    )


def test_a_range_of_widths_steps_in_multiples() -> None:
    """Without a step of its own, a range of a knob in multiples contains these alone."""
    (width,) = space_of({"mask_head.conv_dim": {"low": 32, "high": 128}}).parameters
    assert [value for value in range(129) if width.contains(value)] == [32, 64, 96, 128]


def test_a_preference_of_what_is_pasted_needs_some_pasting() -> None:
    """One choice or a range that pastes is enough for the preference to act."""
    bias = {"low": 0, "high": 1}
    for share in (0.5, {"choices": [0, 0.5]}, {"low": 0, "high": 1}):
        assert space_of({"augment.copy_paste": share, "augment.copy_paste_small_bias": bias})


def test_parents_come_before_their_children() -> None:
    """However a space is written, a sampler meets every parent before what hangs on it."""
    names = [parameter.name for parameter in space_of(BRANCHED).parameters]
    assert names == ["mask_head.name", "mask_head.upsample_stride", "mask_head.conv_dim"]


def test_a_child_is_active_only_under_its_parents_values() -> None:
    """A condition on a parent that is itself inactive does not hold."""
    space = space_of(BRANCHED)
    params = {"mask_head.name": "stock"}
    assert [space.is_active(parameter, params) for parameter in space.parameters] == [True, False, False]
    params = {"mask_head.name": "strided", "mask_head.upsample_stride": 4}
    assert [space.is_active(parameter, params) for parameter in space.parameters] == [True, True, True]


def test_a_point_has_every_active_parameter_and_no_other() -> None:
    """Missing, inactive, unknown and out-of-range parameters put a point outside the space."""
    space = space_of(BRANCHED)
    stock = {"mask_head.name": "stock"}
    full = {"mask_head.name": "strided", "mask_head.upsample_stride": 4, "mask_head.conv_dim": 64}
    assert space.contains(stock)
    assert space.contains(full)
    assert not space.contains({})
    assert not space.contains({**stock, "mask_head.upsample_stride": 4})
    assert not space.contains({**full, "mask_head.conv_dim": 48})
    assert not space.contains({**full, "augment.flip": "none"})


def test_truth_is_not_the_number_one() -> None:
    """Python's True == 1 does not make true a stride."""
    stride = CategoricalParameter("mask_head.upsample_stride", (1, 2, 4))
    assert not stride.contains(True)
    assert not IntParameter("solver.batch_size", 1, 8).contains(True)
    assert not FloatParameter("augment.brightness", 0.0, 1.0).contains(True)


def test_a_strided_head_alone_needs_no_condition() -> None:
    """With only the strided head in the space the stride always acts."""
    space = space_of({"mask_head.name": "strided", "mask_head.upsample_stride": {"choices": [1, 4]}})
    assert len(space.parameters) == 2


def test_a_knob_of_one_head_may_hang_on_another_of_its_knobs() -> None:
    """A condition that holds with one head only is condition enough, and so is no choice of heads at all."""
    space_of(
        {
            "mask_head.name": {"choices": ["strided", "pointrend"]},
            "mask_head.upsample_stride": {"choices": [1, 4], "when": {"mask_head.name": "strided"}},
            "mask_head.num_conv": {"choices": [1, 2], "when": {"mask_head.upsample_stride": 4}},
            "point_head.num_points": {"choices": [98, 196], "when": {"mask_head.name": "pointrend"}},
        }
    )
    space_of({"point_head.num_points": {"choices": [98, 196]}, "mask_head.conv_dim": 32})
    space_of({"mask_head.upsample_stride": {"choices": [1, 4]}, "mask_head.norm": "GN"})


def test_the_document_reads_back() -> None:
    """The plain form of a space gives the same space again."""
    space = space_of(
        {**BRANCHED, "solver.base_lr": {"low": 1e-4, "high": 1e-2, "log": True}, "input.size": 128}
    )
    assert space_of(space_document(space)) == space


def test_the_digest_ignores_order_and_spelling_but_no_value() -> None:
    """Spaces that mean the same share a digest; any other bound, choice or condition changes it."""
    digest = space_of(BRANCHED).digest()
    assert space_of(dict(reversed(BRANCHED.items()))).digest() == digest
    respelt = {
        **BRANCHED,
        "mask_head.upsample_stride": {"choices": ["1", 4.0], "when": {"mask_head.name": ["strided"]}},
    }
    assert space_of(respelt).digest() == digest
    changed = {
        **BRANCHED,
        "mask_head.conv_dim": {"choices": [32, 64], "when": {"mask_head.upsample_stride": 1}},
    }
    assert space_of(changed).digest() != digest
