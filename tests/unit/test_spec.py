"""Good specs: defaults, forms of values, and the canonical document."""

import json
import math
from pathlib import Path

import pytest

from search_spaces.presets import load_preset
from sweeps.core.inference import InferenceSettings
from sweeps.core.spec import (
    BaseSpec,
    Fidelity,
    Objective,
    SweepSpec,
    parse_spec,
    spec_digest,
    spec_document,
    spec_from_document,
)
from sweeps.testing import make_spec

HEAD = """
version: 1
name: parts-nightly
dataset:
  train: {annotations: data/train.json, images: data}
  val: {annotations: ../val.json, images: /images}
"""
TINY = "base: {preset: mask_rcnn_tiny}\n"
FULL = """
base: {preset: mask_rcnn_tiny, weights: none}
objectives: [{metric: segm/AP, goal: maximize}, {metric: latency/ms_per_image}]
constraints: [{metric: latency/ms_per_image, max: 80}]
space:
  mask_head.name: {choices: [stock, strided]}
  mask_head.upsample_stride: {choices: [1, 2, 4], when: {mask_head.name: strided}}
  mask_head.conv_dim: {low: 32, high: 128}
  solver.base_lr: {low: 1e-3, high: 0.05, log: yes}
  augment.flip: {choices: [none, horizontal]}
metrics: {size_bins: {bolt: [10, 24], plate: [40.5, 80]}}
inference: {mask_threshold: [0.4], score_threshold: 0.1}
sampler: {type: tpe, seed: 7}
pruner: {type: median, startup_trials: 3, warmup_rungs: 1}
fidelity: {iterations: 300, rungs: [75, 150, 300]}
budget: {trials: 20, gpu_hours: 8, wall: 1h30m, deadline: "07:00 Europe/Berlin", target: {segm/AP: 40}}
resources: {gpus_per_trial: 0.5, cpus_per_trial: 1, max_concurrent: 4, stall: none}
tracking: {experiment: parts}
"""


def read(text: str) -> SweepSpec:
    return parse_spec(HEAD + text, Path("/sweeps/parts"))


def test_a_minimal_spec_is_short() -> None:
    """Version, name, data and base are enough; the preset brings space, fidelity and weights."""
    spec, preset = read(TINY), load_preset("mask_rcnn_tiny")
    assert spec.base == BaseSpec(preset="mask_rcnn_tiny", weights="none")
    assert spec.space == preset.space
    assert spec.fidelity == Fidelity(iterations=preset.iterations, rungs=preset.rungs)
    assert spec.objectives == (Objective(metric="segm/AP", goal="maximize"),)
    assert (spec.sampler.type, spec.sampler.seed) == ("tpe", 0)
    assert (spec.pruner.type, spec.pruner.reduction_factor) == ("successive_halving", 3)
    assert (spec.budget.trials, spec.budget.wall_s, spec.budget.target) == (20, None, {})
    assert (spec.resources.gpus_per_trial, spec.resources.cpus_per_trial) == (None, 1.0)
    assert (spec.resources.max_concurrent, spec.resources.stall_s) == (None, 1800.0)
    assert (spec.inference.mask_threshold, spec.inference.score_threshold) == (None, None)
    assert spec.tracking.experiment == "parts-nightly"


@pytest.mark.parametrize(
    ("base", "weights"),
    [
        ("{preset: mask_rcnn_R_50_FPN}", "zoo"),
        ("{zoo: Misc/cascade_mask_rcnn_R_50_FPN_1x.yaml}", "zoo"),
        ("{preset: mask_rcnn_tiny}", "none"),
        ("{file: model.yaml}", "file"),
        ("{file: model.yaml, weights: model.pth}", "/sweeps/parts/model.pth"),
        (
            "{preset: mask_rcnn_tiny, weights: 'https://example.org/model.pth'}",
            "https://example.org/model.pth",
        ),
        (
            "{file: m.yaml, weights: 'detectron2://ImageNetPretrained/R-50.pkl'}",
            "detectron2://ImageNetPretrained/R-50.pkl",
        ),
    ],
)
def test_weights_follow_the_base(base: str, weights: str) -> None:
    """The zoo's models start from its weights, files from what they name, presets from their own default."""
    assert read(f"base: {base}\n").base.weights == weights


@pytest.mark.parametrize("base", ["{zoo: Cityscapes/mask_rcnn_R_50_FPN.yaml}", "{file: model.yaml}"])
def test_other_bases_get_the_default_space(base: str) -> None:
    """A model that is no preset is searched like the R-50."""
    preset = load_preset("mask_rcnn_R_50_FPN")
    spec = read(f"base: {base}\n")
    assert (spec.space, spec.fidelity.rungs) == (preset.space, preset.rungs)


def test_paths_start_at_the_specs_directory() -> None:
    """Every path in a spec is absolute and normal."""
    spec = read("base: {file: ../model.yaml}\n")
    assert spec.dataset.train.annotations == "/sweeps/parts/data/train.json"
    assert spec.dataset.val.annotations == "/sweeps/val.json"
    assert spec.dataset.val.images == "/images"
    assert spec.base.file == "/sweeps/model.yaml"


@pytest.mark.parametrize(
    ("fidelity", "iterations", "rungs"),
    [
        ("{iterations: 400}", 400, (100, 200, 400)),
        ("{iterations: 1}", 1, (1,)),
        ("{iterations: 3e2}", 300, (75, 150, 300)),
        ("{rungs: [10, 20]}", 20, (10, 20)),
        ("{iterations: 20, rungs: [20]}", 20, (20,)),
        ("{}", 240, (60, 120, 240)),
    ],
)
def test_rungs_default_to_a_quarter_a_half_and_all(
    fidelity: str, iterations: int, rungs: tuple[int, ...]
) -> None:
    """Either of iterations and rungs follows from the other."""
    assert read(f"{TINY}fidelity: {fidelity}\n").fidelity == Fidelity(iterations=iterations, rungs=rungs)


@pytest.mark.parametrize(
    ("text", "wall_s"), [("2h", 7200), ("90m", 5400), ("1h30m", 5400), ("45s", 45), ("1d 2h", 93600)]
)
def test_durations_are_seconds_inside(text: str, wall_s: float) -> None:
    """Units add up."""
    assert read(f"{TINY}budget: {{wall: {text}}}\n").budget.wall_s == wall_s


@pytest.mark.parametrize(
    ("words", "bound"),
    [
        ("latency/ms_per_image <= 80", {"metric": "latency/ms_per_image", "max": 80}),
        ("segm/AP>=30", {"metric": "segm/AP", "min": 30}),
        (" segm/AP-hex nut >= 30", {"metric": "segm/AP-hex nut", "min": 30}),
        ("model/parameters <= 4e7", {"metric": "model/parameters", "max": 40_000_000}),
    ],
)
def test_a_constraint_in_words_is_the_mapping_that_it_is_short_for(words, bound) -> None:
    assert make_spec(constraints=[words]) == make_spec(constraints=[bound])


def test_goals_follow_the_metric() -> None:
    """Times are minimized and everything else is maximized."""
    spec = read(f"{TINY}objectives: [{{metric: segm/APs}}, {{metric: latency/ms_per_image}}]\n")
    assert [objective.goal for objective in spec.objectives] == ["maximize", "minimize"]


@pytest.mark.parametrize("metric", ["segm/AP-bolt", "bbox/AP-hex nut", "segm/AP-Schraube M4/8"])
def test_categories_are_metrics(metric: str) -> None:
    """A category may be called anything; whether it exists is for the data to say."""
    assert read(f"{TINY}objectives: [{{metric: {metric}}}]\n").objectives[0].metric == metric


def test_inference_lists_make_a_grid() -> None:
    """Every combination, ascending whatever the order in the spec; what is not given is the base's own."""
    default = InferenceSettings(0.5, 0.05, 0.5, 25)
    spec = read(f"{TINY}inference: {{mask_threshold: [0.6, 0.4], nms_threshold: 0.3}}\n")
    grid = spec.inference.grid(default)
    assert grid.combinations() == (
        InferenceSettings(0.4, 0.05, 0.3, 25),
        InferenceSettings(0.6, 0.05, 0.3, 25),
    )
    assert grid.default == default
    single = read(f"{TINY}inference: {{mask_threshold: 0.4}}\n").inference.grid(default)
    assert single.combinations() == (InferenceSettings(0.4, 0.05, 0.5, 25),)
    assert single.default == single.combinations()[0]


def test_a_full_spec_is_taken_as_written() -> None:
    """Every section of a spec arrives."""
    spec = read(FULL)
    assert (spec.inference.mask_threshold, spec.inference.score_threshold) == ((0.4,), (0.1,))
    assert spec.metrics.size_bins == {"bolt": (10, 24), "plate": (40.5, 80)}
    assert (spec.pruner.type, spec.pruner.startup_trials, spec.pruner.warmup_rungs) == ("median", 3, 1)
    assert (spec.budget.wall_s, spec.budget.deadline) == (5400.0, "07:00 Europe/Berlin")
    assert spec.budget.target == {"segm/AP": 40.0}
    assert (spec.resources.gpus_per_trial, spec.resources.max_concurrent) == (0.5, 4)
    assert spec.resources.stall_s == math.inf
    assert spec.tracking.experiment == "parts"
    assert [parameter.name for parameter in spec.space.parameters][:2] == [
        "mask_head.name",
        "mask_head.upsample_stride",
    ]


@pytest.mark.parametrize("text", [TINY, FULL])
def test_the_document_gives_the_same_spec_again(text: str) -> None:
    """The store's copy of a spec loses nothing."""
    spec = read(text)
    again = spec_from_document(spec_document(spec))
    assert again == spec
    assert spec_document(again) == spec_document(spec)


def test_the_digest_is_of_the_meaning_not_of_the_text() -> None:
    """Order, spelling and written-out defaults do not matter; any other value does."""
    digest = spec_digest(read(TINY))
    assert (
        spec_digest(parse_spec(f"{TINY}sampler: {{seed: 0.0, type: tpe}}{HEAD}", Path("/sweeps/parts")))
        == digest
    )
    assert spec_digest(read(f"{TINY}sampler: {{seed: 1}}\n")) != digest


def test_a_spec_cannot_be_changed() -> None:
    """Specs are values."""
    with pytest.raises(ValueError, match="frozen"):
        read(TINY).name = "other"  # type: ignore[misc]


@pytest.mark.parametrize("kind", ["tpe", "nsga2", "random", "qmc"])
def test_a_stored_sampler_of_few_options_is_read(kind):
    """What was stored before samplers had more options gets their defaults."""
    spec = read(f"{TINY}sampler: {{type: {kind}, seed: 5}}\n")
    document = json.loads(spec_document(spec))
    document["sampler"] = {"type": kind, "seed": 5, "startup_trials": 10}
    assert spec_from_document(json.dumps(document)) == spec
