"""Presets."""

import pytest

from search_spaces.knobs import KNOBS
from search_spaces.presets import DEFAULT_PRESET, load_preset, preset_names
from search_spaces.zoo import WITH_WEIGHTS


def test_the_presets_are_known() -> None:
    """A preset is a file; the one that lends its space to other bases is among them."""
    assert preset_names() == ("mask_rcnn_R_50_FPN", "mask_rcnn_tiny")
    assert DEFAULT_PRESET in preset_names()


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_is_whole(name: str) -> None:
    """Each has words, a space of at least two parameters, and rungs that end with its iterations."""
    preset = load_preset(name)
    assert preset.doc
    assert len(preset.space.parameters) >= 2
    assert list(preset.rungs) == sorted(set(preset.rungs))
    assert preset.rungs[-1] == preset.iterations


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_with_zoo_weights_has_them(name: str) -> None:
    """What a preset trains from exists."""
    preset = load_preset(name)
    assert (preset.default_weights == "zoo") <= (preset.zoo in WITH_WEIGHTS)


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_leaves_data_and_machine_alone(name: str) -> None:
    """Classes, data sets, device and seed belong to the sweep, not to its base."""
    keys = [key for key, _ in load_preset(name).overrides]
    assert [
        key for key in keys if key.startswith("DATASETS") or key.endswith(("NUM_CLASSES", "DEVICE", "SEED"))
    ] == []


@pytest.mark.parametrize("name", preset_names())
def test_a_default_space_names_knobs_only(name: str) -> None:
    """Every parameter of a default space is in the table."""
    known = {entry.name for entry in KNOBS}
    assert {parameter.name for parameter in load_preset(name).space.parameters} <= known


def test_an_unknown_preset_is_a_key_error() -> None:
    """Nothing outside the package's own files is opened."""
    with pytest.raises(KeyError):
        load_preset("../presets/mask_rcnn_tiny")
