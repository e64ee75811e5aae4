"""Any point of a preset's space, and of one with every knob, is a model that builds; tiny ones train."""

import hashlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runners.detectron.config import build_config
from runners.detectron.data import register
from runners.detectron.model import build_model
from runners.detectron.worker import DetectronWorker
from search_spaces.knobs import knob_names
from search_spaces.parameters import CategoricalParameter, IntParameter
from search_spaces.presets import load_preset, preset_names
from search_spaces.space import parse_space
from sweeps.core.trial import Assignment
from sweeps.testing import make_spec

pytestmark = pytest.mark.slow  # builds and trains real models

CONV_HEADS = {"when": {"mask_head.name": ["stock", "strided"]}}
POINTREND = {"when": {"mask_head.name": "pointrend"}}
EVERYTHING = {
    "mask_head.name": {"choices": ["stock", "strided", "pointrend"]},
    "mask_head.upsample_stride": {"choices": [1, 2, 4], "when": {"mask_head.name": "strided"}},
    "mask_head.conv_dim": {"choices": [32, 64]},
    "mask_head.num_conv": {"low": 1, "high": 3, **CONV_HEADS},
    "mask_head.pooler_resolution": {"choices": [7, 14], **CONV_HEADS},
    "mask_head.norm": {"choices": ["none", "GN"], **CONV_HEADS},
    "mask_head.class_agnostic": {"choices": [False, True], **CONV_HEADS},
    "mask_head.loss_weight": {"low": 0.5, "high": 2},
    "mask_head.loss": {"choices": ["bce", "dice", "boundary"], **CONV_HEADS},
    "mask_head.mask_iou": {"choices": [False, True], **CONV_HEADS},
    "mask_head.mask_iou_weight": {"low": 0.5, "high": 2, "when": {"mask_head.mask_iou": True}},
    "point_head.num_points": {"choices": [49, 196], **POINTREND},
    "point_head.importance_ratio": {"low": 0, "high": 1, **POINTREND},
    "point_head.subdivision_steps": {"low": 2, "high": 5, **POINTREND},
    "point_head.fc_dim": {"choices": [32, 64], **POINTREND},
    "point_head.num_fc": {"low": 1, "high": 3, **POINTREND},
    "solver.optimizer": "AdamW",
    "solver.base_lr": {"low": 0.0001, "high": 0.001, "log": True},
    "solver.schedule": {"choices": ["steps", "cosine"]},
    "solver.weight_decay": {"low": 0, "high": 0.1},
    "solver.batch_size": {"low": 1, "high": 4},
    "anchors.preset": {"choices": ["default", "small", "large", "dense", "fitted"]},
    "rpn.pre_nms_topk": {"low": 50, "high": 200},
    "rpn.post_nms_topk": {"low": 50, "high": 200},
    "input.size": {"choices": [96, 128]},
    "augment.flip": {"choices": ["none", "horizontal", "vertical"]},
    "augment.brightness": {"low": 0, "high": 0.4},
    "augment.contrast": {"low": 0, "high": 0.4},
    "augment.saturation": {"low": 0, "high": 0.4},
    "augment.crop": {"low": 0.5, "high": 1},
    "augment.scale_jitter": {"low": 0, "high": 0.4, "when": {"augment.large_scale_jitter": False}},
    "augment.large_scale_jitter": {"choices": [False, True]},
    "augment.rotation": {"low": 0, "high": 180},
    "augment.copy_paste": {"low": 0, "high": 1},
    "augment.copy_paste_small_bias": {"low": 0, "high": 1},
    "sampling.repeat_rare": {"low": 0, "high": 1},
    "sampling.repeat_small": {"low": 1, "high": 3},
}
"""Every knob at once, in ranges that the tiny preset trains with in moments."""


def everything():
    space, issues = parse_space(EVERYTHING)
    assert issues == []
    return space


def points(space):
    """Strategy for the active parameters of a point of a space."""

    @st.composite
    def draw_point(draw):
        params = {}
        for parameter in space.parameters:
            if not space.is_active(parameter, params):
                continue
            if isinstance(parameter, CategoricalParameter):
                value = draw(st.sampled_from(parameter.choices))
            elif isinstance(parameter, IntParameter):
                steps = (parameter.high - parameter.low) // parameter.step
                value = parameter.low + parameter.step * draw(st.integers(0, steps))
            else:
                value = draw(st.floats(parameter.low, parameter.high))
            params[parameter.name] = value
        return params

    return draw_point()


def preset_spec(name, parts, **sections):
    half = {"images": str(parts / "images")}
    dataset = {name: {**half, "annotations": str(parts / f"{name}.json")} for name in ("train", "val")}
    return make_spec(base={"preset": name, "weights": "none"}, dataset=dataset, **sections)


def build(name, params, parts):
    spec = preset_spec(name, parts)
    cfg = build_config(
        spec, params, seed=0, output_dir="unused", num_classes=3, device="cpu", data=register(spec)
    )
    assert sum(p.numel() for p in build_model(cfg).parameters()) > 100_000


def train_and_evaluate(params, parts, tmp_path, name="mask_rcnn_tiny"):
    """Two iterations and an evaluation end with a finite loss and a mask AP."""
    spec = preset_spec(name, parts, fidelity={"iterations": 2, "rungs": [2]})
    worker = DetectronWorker(spec, device="cpu")
    directory = str(tmp_path / hashlib.sha256(repr(params).encode()).hexdigest())
    worker.start(Assignment("s", 0, 1, 1, params, 0, (2,), None, 0, directory, str(tmp_path / "pause")))
    report = worker.step()
    assert report.failure is None
    assert 0 <= report.metrics["segm/AP"] <= 100


def test_the_space_of_everything_leaves_out_no_knob():
    """A new knob is trained with here, too."""
    assert set(EVERYTHING) == set(knob_names())


@pytest.mark.parametrize("name", preset_names())
@settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_point_of_a_presets_space_builds(name, data, parts):
    """Config and model can be made for whatever the sampler may suggest."""
    build(name, data.draw(points(load_preset(name).space)), parts)


@pytest.mark.parametrize("name", preset_names())
@settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(params=points(everything()))
def test_any_point_of_all_knobs_builds(name, params, parts):
    """Every knob goes with every other, on the small base and on the large one."""
    build(name, params, parts)


@settings(max_examples=5, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(params=points(load_preset("mask_rcnn_tiny").space))
def test_any_point_of_the_tiny_space_trains_and_is_measured(params, parts, tmp_path):
    """What the preset suggests by default works from the first step to the score."""
    train_and_evaluate(params, parts, tmp_path)


@settings(max_examples=2, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(params=points(load_preset("mask_rcnn_R_50_FPN").space))
def test_any_point_of_the_resnet_50_space_trains_and_is_measured(params, parts, tmp_path):
    """The same for the large preset, on images of 64 px, two at a time, for a CPU's sake."""
    small = {"input.size": 64, "solver.batch_size": 2}
    train_and_evaluate(params | small, parts, tmp_path, "mask_rcnn_R_50_FPN")


@pytest.mark.parametrize("head", ["stock", "strided", "pointrend"])
@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_point_of_all_knobs_trains_and_is_measured(head, data, parts, tmp_path):
    """The same with every knob at once, for each mask head."""
    params = data.draw(points(everything()).filter(lambda point: point["mask_head.name"] == head))
    train_and_evaluate(params, parts, tmp_path)
