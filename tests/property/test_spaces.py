"""Properties of spaces and specs, over generated ones."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from search_spaces.documents import read_yaml
from search_spaces.knob_types import Between, Knob, OneOf
from search_spaces.knobs import KNOBS
from search_spaces.overrides import config_overrides
from search_spaces.parameters import CategoricalParameter, FloatParameter, IntParameter, Parameter, Value
from search_spaces.presets import load_preset, preset_names
from search_spaces.space import SearchSpace, parse_space, space_document
from sweeps.core.errors import SpecInvalid
from sweeps.core.spec import SweepSpec, parse_spec, spec_digest, spec_document, spec_from_document

FEW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
BASE = {
    "MODEL.ANCHOR_GENERATOR.SIZES": [[16], [32], [64]],
    "MODEL.RPN.PRE_NMS_TOPK_TRAIN": 200,
    "MODEL.RPN.PRE_NMS_TOPK_TEST": 100,
    "MODEL.RPN.POST_NMS_TOPK_TRAIN": 100,
    "MODEL.RPN.POST_NMS_TOPK_TEST": 50,
    "INPUT.MIN_SIZE_TRAIN": (128,),
    "INPUT.MAX_SIZE_TRAIN": 128,
    "INPUT.MIN_SIZE_TEST": 128,
    "INPUT.MAX_SIZE_TEST": 128,
    "SOLVER.MAX_ITER": 300,
    "SOLVER.STEPS": (225,),
    "SOLVER.WARMUP_ITERS": 30,
}


def legal_values(entry: Knob) -> st.SearchStrategy[Value]:
    match entry.legal:
        case OneOf(values):
            return st.sampled_from(values)
        case Between(low, high, multiple) if entry.kind == "int":
            return (
                st.integers(int(low) // multiple, int(high) // multiple)
                .map(lambda k: k * multiple)
                .filter(lambda value: low <= value <= high)
            )
        case Between(low, high):
            return st.floats(low, high)


@st.composite
def entries(draw: st.DrawFn, entry: Knob) -> object:
    """A legal entry of a space: a constant, choices or a range."""
    values = draw(st.lists(legal_values(entry), min_size=1, max_size=3, unique_by=lambda v: (type(v), v)))
    form = draw(st.sampled_from(["constant", "choices", "range"]))
    if form == "constant":
        return values[0]
    if form == "choices" or isinstance(entry.legal, OneOf):
        return {"choices": values}
    return {"low": min(values), "high": max(values)}  # type: ignore[type-var]


@st.composite
def raw_spaces(draw: st.DrawFn) -> dict[str, Any]:
    """A legal space over some knobs, with a condition on the optimizer where it has choices."""
    # Without a choice of heads, knobs of two heads do not go together; nor do some without their parents.
    parents = {"mask_head.name", "mask_head.mask_iou", "augment.copy_paste", "augment.large_scale_jitter"}
    others = [
        entry
        for entry in KNOBS
        if entry.name not in parents
        and "point_head" not in entry.name
        and (entry.needs is None or entry.needs.implied)
    ]
    chosen = draw(
        st.lists(st.sampled_from(others), min_size=1, max_size=6, unique_by=lambda entry: entry.name)
    )
    raw = {entry.name: draw(entries(entry)) for entry in chosen}
    parent = raw.get("solver.optimizer")
    if isinstance(parent, dict):
        for name, entry in raw.items():
            if isinstance(entry, dict) and name != "solver.optimizer" and draw(st.booleans()):
                entry["when"] = {"solver.optimizer": draw(st.sampled_from(parent["choices"]))}
    return raw


def parsed(raw: dict[str, Any]) -> SearchSpace:
    space, issues = parse_space(raw)
    assert issues == []
    assert space is not None
    return space


def value_of(draw: st.DrawFn, parameter: Parameter) -> Value:
    match parameter:
        case CategoricalParameter(choices=choices):
            return draw(st.sampled_from(choices))
        case IntParameter(low=low, high=high, step=step):
            return low + step * draw(st.integers(0, (high - low) // step))
        case FloatParameter(low=low, high=high):
            return draw(st.floats(low, high))


def point_of(draw: st.DrawFn, space: SearchSpace) -> dict[str, Value]:
    params: dict[str, Value] = {}
    for parameter in space.parameters:
        if space.is_active(parameter, params):
            params[parameter.name] = value_of(draw, parameter)
    return params


@FEW
@given(data=st.data())
@pytest.mark.parametrize("name", preset_names())
def test_any_point_of_a_presets_space_is_in_it(name: str, data: st.DataObject) -> None:
    """Drawing parents first and active children after them gives points of the space."""
    space = load_preset(name).space
    assert space.contains(point_of(data.draw, space))


@FEW
@given(raw=raw_spaces(), data=st.data())
def test_any_point_of_any_space_is_in_it_and_gives_a_config(raw: dict[str, Any], data: st.DataObject) -> None:
    """Points are members, and each becomes config values with every key once."""
    space = parsed(raw)
    params = point_of(data.draw, space)
    assert space.contains(params)
    keys = [key for key, _ in config_overrides(params, BASE, data.draw(st.integers(1, 1000)))]
    assert len(set(keys)) == len(keys)


@FEW
@given(raw=raw_spaces(), data=st.data())
def test_a_spaces_digest_does_not_depend_on_the_order_of_its_names(
    raw: dict[str, Any], data: st.DataObject
) -> None:
    """Spaces written in any order are equal, and so are their digests and documents."""
    shuffled = dict(data.draw(st.permutations(list(raw.items()))))
    space = parsed(raw)
    assert parsed(shuffled) == space
    assert parsed(shuffled).digest() == space.digest()
    assert parsed(space_document(space)) == space


@FEW
@given(
    raw=raw_spaces(),
    seed=st.integers(0, 2**31 - 1),
    iterations=st.integers(1, 10**6),
    trials=st.integers(1, 10**4),
)
def test_a_spec_comes_back_from_its_document(
    raw: dict[str, Any], seed: int, iterations: int, trials: int
) -> None:
    """Reading a spec's document gives an equal spec with the same digest."""
    split = {"annotations": "a.json", "images": "images"}
    fields = {
        "version": 1,
        "name": "parts",
        "dataset": {"train": split, "val": split},
        "base": {"preset": "mask_rcnn_tiny"},
        "space": raw,
        "sampler": {"seed": seed},
        "fidelity": {"iterations": iterations},
        "budget": {"trials": trials, "wall": f"{trials}m"},
    }
    spec = parse_spec(json.dumps(fields), Path("/sweep"))  # JSON is YAML
    again = spec_from_document(spec_document(spec))
    assert again == spec
    assert spec_digest(again) == spec_digest(spec)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
SECTIONS = st.sampled_from(sorted(SweepSpec.model_fields))
FIELDS = st.sampled_from(
    [
        *("train", "preset", "zoo", "file", "weights", "metric", "goal", "mask_threshold", "type", "seed"),
        *("iterations", "rungs", "wall", "deadline", "target", "gpus_per_trial", "augment.flip", "when"),
    ]
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(fields=st.dictionaries(SECTIONS, JUNK | st.dictionaries(FIELDS, JUNK, max_size=4), max_size=6))
def test_junk_is_told_and_never_crashes(fields: dict[str, Any]) -> None:
    """Whatever is written, the answer is a list of issues."""
    with pytest.raises(SpecInvalid) as caught:
        parse_spec(json.dumps(fields), Path("/sweep"))
    assert caught.value.issues


@settings(max_examples=100, deadline=None)
@given(text=st.text(alphabet=st.sampled_from("ab:-[]{}&*!|>'\"#%@,?~ \t\n0.e"), max_size=40))
def test_any_text_is_data_or_issues(text: str) -> None:
    """Reading YAML never raises."""
    document, issues = read_yaml(text)
    assert document is None or not any(issue.path == "" for issue in issues)
