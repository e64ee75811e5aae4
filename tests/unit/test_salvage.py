"""What of a wrong spec is still looked at, so that all of its problems are told at once."""

from pathlib import Path

import pytest

from search_spaces.issues import SpecIssue
from sweeps.core.salvage import salvage

DATA = """
dataset:
  train: {annotations: train.json, images: images}
  val: {annotations: val.json, images: images}
"""
HERE = Path("/sweep")


def salvaged(text):
    found = salvage(text, HERE)
    assert found is not None
    return found


def test_a_sound_base_is_kept_beside_a_mistake():
    """A base file is looked for although the name is wrong."""
    spec = salvaged(f"name: ''\nbase: {{file: mine.yaml}}\n{DATA}").spec
    assert (spec.base.file, spec.base.weights) == ("/sweep/mine.yaml", "file")


@pytest.mark.parametrize("weights", ["zoo", "5", "ftp://x"])
def test_a_base_whose_weights_are_wrong_is_kept_without_them(weights):
    """Wrong weights do not hide that the file is missing."""
    spec = salvaged(f"base: {{file: mine.yaml, weights: {weights}}}\n{DATA}").spec
    assert (spec.base.file, spec.base.weights) == ("/sweep/mine.yaml", "none")


def test_sound_objectives_and_constraints_keep_their_places():
    """What is not sound is stood for, so that the paths of the others are those of the file."""
    spec = salvaged(
        "objectives: [{metric: AP}, {metric: segm/APl}]\n"
        f"constraints: [{{metric: segm/APm, min: 0.5}}, {{metrik: x}}, {{metric: bbox/APs, min: 5}}]\n{DATA}"
    ).spec
    assert [one.metric for one in spec.objectives] == ["segm/AP", "segm/APl"]
    assert [one.metric for one in spec.constraints] == ["segm/APm", "segm/AP", "bbox/APs"]


@pytest.mark.parametrize(
    ("wrong", "hidden", "shown"),
    [
        ("train", ["dataset.train.annotations"], ["dataset.val.images", "objectives[0].metric"]),
        ("val", ["dataset.val.images", "objectives[0].metric"], ["dataset.train.annotations", "base.file"]),
    ],
)
def test_each_half_of_the_data_is_looked_at_alone(wrong, hidden, shown):
    """A typo in one half leaves the other to be looked at; the stand-in's problems are nobody's."""
    text = DATA.replace(f"{wrong}: {{annotations", f"{wrong}: {{anotations")
    found = salvaged(text)
    other = "val" if wrong == "train" else "train"
    assert found.spec.dataset.train == found.spec.dataset.val
    assert found.spec.dataset.train.annotations == f"/sweep/{other}.json"
    assert [path for path in hidden + shown if found.shows(SpecIssue(path, "bad"))] == shown


def test_any_character_of_a_path_is_kept():
    """A path with a picture in it is looked for under its own name."""
    spec = salvaged(DATA.replace("train.json", "\U0001f600.json")).spec
    assert spec.dataset.train.annotations == "/sweep/\U0001f600.json"


@pytest.mark.parametrize("text", ["", "- 1", "a: [", "dataset: 5", "dataset: {train: 5, val: {images: x}}"])
def test_without_a_data_set_there_is_nothing_to_look_at(text):
    """A text that describes neither half gives nothing."""
    assert salvage(text, HERE) is None
