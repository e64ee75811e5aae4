from contextlib import contextmanager

import hotcoco.mask
import numpy as np
import pytest
import torch
from detectron2.structures import Boxes, Instances

from runners.detectron.config import build_config
from runners.detectron.model import build_model
from runners.evaluation import inference_pass
from runners.evaluation.calibration import MaskCalibration
from runners.evaluation.candidates import calibrate, candidates_of, place
from runners.evaluation.image_truth import truth_by_image
from runners.evaluation.inference_pass import run_pass
from runners.evaluation.one_pass import Union
from sweeps.core.inference import InferenceSettings, SettingsGrid
from sweeps.testing import make_spec
from tests.detect import detect, truth_of

SETTINGS = InferenceSettings(0.5, 0.01, 0.5, 25)
ONE = SettingsGrid.single(SETTINGS)


@pytest.fixture(scope="module")
def model():
    """The tiny model with random weights that finds something everywhere."""
    torch.manual_seed(0)
    cfg = build_config(
        make_spec(inference={"score_threshold": 0.01}),
        {},
        seed=0,
        output_dir="unused",
        num_classes=3,
        device="cpu",
    )
    return build_model(cfg)


def inputs(*sizes):
    generator = torch.Generator().manual_seed(1)
    return [
        {
            "image_id": number,
            "height": height * 2,
            "width": width * 2,
            "image": torch.randint(0, 256, (3, height, width), generator=generator, dtype=torch.uint8),
        }
        for number, (height, width) in enumerate(sizes, 1)
    ]


def found(model, images, grid=ONE, settings=SETTINGS, **options):
    return detect(model, images, grid, settings, **options)


def test_batches_give_what_single_images_give(model):
    """Images of several sizes come back in order, each as if it had been alone."""
    images = inputs((64, 64), (64, 64), (64, 96), (64, 64), (96, 64), (96, 64), (96, 64))
    alone = found(model, images, batch_size=1)
    together = found(model, images, batch_size=2)
    assert [item.image_id for item in together] == [1, 2, 3, 4, 5, 6, 7]
    assert sum(len(item.scores) for item in together) > 20
    for expected, actual in zip(alone, together, strict=True):
        np.testing.assert_allclose(actual.boxes, expected.boxes, atol=1e-3)
        np.testing.assert_allclose(actual.scores, expected.scores, atol=1e-5)
        assert actual.classes.tolist() == expected.classes.tolist()
        assert [mask["size"] for mask in actual.masks] == [mask["size"] for mask in expected.masks]


def test_the_model_is_left_in_the_mode_it_was_in(model):
    """An evaluation in mid-training changes neither mode nor running statistics, and puts nothing into it."""
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    done = run_pass(model, truth_of(inputs((64, 64))), inputs((64, 64)), ONE)
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert "forward_with_given_boxes" not in vars(model.roi_heads)
    assert done.cost["latency/ms_per_image"] > 0


def test_a_higher_mask_threshold_gives_smaller_masks(model):
    """The threshold is applied to the soft masks: at 0.99 no pixel of an untrained model is left."""
    grid = SettingsGrid((0.01, 0.99), (0.01,), (0.5,), (25,), SETTINGS)
    low, high = (
        sum(
            hotcoco.mask.area(mask)
            for item in found(model, inputs((64, 64)), grid, settings)
            for mask in item.masks
        )
        for settings in grid.combinations()
    )
    assert low > 0
    assert high == 0


def test_an_image_without_detections_is_an_answer(model):
    """At a score that nothing reaches every image is there, with nothing in it."""
    nothing = InferenceSettings(0.5, 0.999, 0.5, 25)
    images = inputs((64, 64), (64, 64))
    for grid in (SettingsGrid.single(nothing), SettingsGrid((0.5,), (0.01, 0.999), (0.5,), (25,), SETTINGS)):
        items = found(model, images, grid, nothing)
        assert [(item.image_id, len(item.scores), list(item.masks)) for item in items] == [
            (1, 0, []),
            (2, 0, []),
        ]


def test_memory_is_that_of_one_image(model):
    """It does not depend on how many images there are, and grows with the image."""

    def peak_mb(*sizes):
        images = inputs(*sizes)
        return run_pass(model, truth_of(images), images, ONE).cost["memory/peak_mb"]

    assert peak_mb(*[(64, 64)] * 5) == peak_mb((64, 64))
    assert peak_mb((128, 128)) > peak_mb((64, 64))


def test_no_images_are_no_measurement(model):
    """Nothing in, nothing out, and no latency."""
    done = run_pass(model, truth_of(inputs((64, 64))), [], ONE)
    assert list(done.images) == []
    assert set(done.cost) == {"model/parameters"}


def test_cost_need_not_be_measured(model):
    """No image is seen twice then."""
    images = inputs((64, 64), (64, 64))
    done = run_pass(model, truth_of(images), images, ONE, timed_images=0)
    assert set(done.cost) == {"model/parameters"}
    assert len(done.images) == 2


@pytest.mark.parametrize("grid", [ONE, SettingsGrid((0.3, 0.5), (0.01,), (0.3, 0.7), (25,), SETTINGS)])
def test_cost_is_that_of_the_default_settings(model, grid, monkeypatch):
    """Time and memory are taken of one image and one setting at a time, however large the grid."""
    asked, inside = [], []
    real, meter = inference_pass.infer, inference_pass.CostMeter

    def watched(model, batch, rules):
        asked.append((tuple(inside), len(batch), tuple(rules)))
        return real(model, batch, rules)

    class WatchedMeter(meter):
        @contextmanager
        def batch(self, images):
            inside.append(images)
            with super().batch(images):
                yield
            inside.pop()

    monkeypatch.setattr(inference_pass, "infer", watched)
    monkeypatch.setattr(inference_pass, "CostMeter", WatchedMeter)
    images = inputs(*[(64, 64)] * 12)
    done = run_pass(model, truth_of(images), images, grid)
    plain = ((0.01, 0.5, 25),)
    assert asked[0] == ((), 1, plain)  # memory
    timed = [(batch, rules) for counted, batch, rules in asked if counted]
    assert timed == [(1, plain)] * inference_pass.TIMED_IMAGES
    assert {"latency/ms_per_image", "latency/ms_per_image_p90", "memory/peak_mb"} <= set(done.cost)


def test_an_image_without_proposals_has_no_detections(model, monkeypatch):
    """A model whose proposals came out as NaN finds nothing, as in Detectron2."""
    with torch.no_grad():
        saved = model.proposal_generator.rpn_head.anchor_deltas.bias.clone()
        model.proposal_generator.rpn_head.anchor_deltas.bias.fill_(float("nan"))
    try:
        assert [len(item.scores) for item in detect(model, inputs((64, 64)))] == [0]
    finally:
        with torch.no_grad():
            model.proposal_generator.rpn_head.anchor_deltas.bias.copy_(saved)


def test_masks_that_are_sure_of_everything_are_measured():
    """Pasting may leave 0 to 1 by the last bit: the calibration takes it for 1."""
    jitter = torch.rand(200, 4, generator=torch.Generator().manual_seed(0))
    found = Instances((100, 100))
    found.pred_boxes = Boxes(torch.tensor([10.0, 10.0, 50.0, 50.0]) + jitter)
    found.scores, found.pred_classes = torch.full((200,), 0.9), torch.full((200,), 1)
    found.pred_masks = torch.ones(200, 1, 14, 14)
    item, rule = {"image_id": 1, "height": 100, "width": 100}, (0.01, 0.5, 200)
    there = {k: some for (_, k), some in truth_by_image(truth_of([item])).items()}
    planes = {k: some.decoded() for k, some in there.items()}
    placed = place(item, Union(found, {}))
    beyond = next(row for row, region in enumerate(placed.regions) if region.probabilities.max() > 1)
    union = Union(found, {rule: (beyond,)})
    kept = candidates_of(item, union, placed, thresholds=(0.5,), truths=there, planes=planes)
    calibration = MaskCalibration()
    calibrate(calibration, kept, placed, truths=there, planes=planes, rule=rule, mask=0)
    assert calibration.ece() is not None
