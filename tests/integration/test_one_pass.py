"""One pass of real models equals running them again with each setting, whatever heads they have."""

from pathlib import Path

import numpy as np
import pytest
import torch

from runners.detectron.config import build_config
from runners.detectron.data import dataset_dicts, register
from runners.detectron.environment import limit_threads
from runners.detectron.mapper import TestMapper, TrainMapper
from runners.detectron.model import build_model
from runners.detectron.stream import train_loader
from runners.detectron.trainer import Trainer, seed_everything
from runners.evaluation.coco import accumulate, load_ground_truth, load_results
from runners.evaluation.evaluate import ValidationSet, evaluate
from runners.evaluation.inference_pass import run_pass
from runners.evaluation.one_pass import box_rules, infer, rule_of
from runners.evaluation.results import mask_results
from runners.evaluation.settings_grid import GridScorer
from sweeps.core.inference import InferenceSettings, SettingsGrid
from sweeps.core.metrics import metric_named
from sweeps.testing import make_spec
from tests.integration.stock_inference import stock_detections, stock_outputs

pytestmark = pytest.mark.slow  # trains small models for a minute, and runs them dozens of times

GRID = SettingsGrid((0.3, 0.5, 0.7), (0.02, 0.3), (0.3, 0.7), (5, 25), InferenceSettings(0.5, 0.05, 0.5, 25))


def spec_on(parts: Path):
    half = {"images": str(parts / "images")}
    data = {name: {**half, "annotations": str(parts / f"{name}.json")} for name in ("train", "val")}
    return make_spec(dataset=data)


@pytest.fixture(scope="module")
def checkpoints(parts, tmp_path_factory):
    """Models with different mask heads after more or less training: (name, model, inputs)."""
    limit_threads()  # more starve each other where something else runs
    spec, made = spec_on(parts), []
    data = register(spec)
    directory = str(tmp_path_factory.mktemp("out"))
    for iterations, params in (
        (20, {"mask_head.upsample_stride": 4, "mask_head.conv_dim": 32}),
        (40, {"mask_head.class_agnostic": True, "mask_head.norm": "GN"}),
    ):
        seed_everything(1)
        cfg = build_config(
            spec, params, seed=1, output_dir=directory, num_classes=data.num_classes, device="cpu", data=data
        )
        model = build_model(cfg)
        trainer = Trainer(cfg, model, curve_every=20, pause_file=f"{directory}/pause")
        records, mapper = dataset_dicts(data.train), TrainMapper(cfg, seed=1)
        trainer.feed(train_loader(cfg, records, mapper, seed=1, start_iteration=0, batch_size=4))
        trainer.train(iterations, deadline=float("inf"))
        inputs = [TestMapper(cfg)(record) for record in dataset_dicts(data.val)]
        made.append((f"{params} after {iterations}", model.eval(), inputs))
    return made


def segm_ap(truth, detections):
    """COCO's mask AP, and no more."""
    masks = load_results(truth, mask_results(truth, detections))
    return accumulate(truth, truth.coco, masks, "segm").average_precision()


def test_every_setting_equals_running_the_model_again(checkpoints, parts):
    """Boxes and AP to the bit, for every combination of mask, score and NMS threshold and detections."""
    truth = load_ground_truth(parts / "val.json")
    for name, model, inputs in checkpoints:
        done = run_pass(model, truth, inputs, GRID)
        scores = GridScorer(done, len(truth.names)).scores(
            {*GRID.combinations(), GRID.default}, [image.image_id for image in done.images]
        )
        for rule in box_rules(GRID):
            outputs = stock_outputs(model, inputs, rule)
            for settings, score in scores.items():
                if rule_of(settings) != rule:
                    continue
                again = stock_detections(outputs, inputs, settings.mask_threshold)
                kept = [done.detections(image, settings) for image in done.images]
                for one, other in zip(kept, again, strict=True):
                    assert np.array_equal(one.boxes, other.boxes), (name, settings)
                    assert np.array_equal(one.scores, other.scores), (name, settings)
                    assert np.array_equal(one.classes, other.classes), (name, settings)
                measured = segm_ap(truth, again)
                assert score.ap == measured, (name, settings)
                assert segm_ap(truth, kept) == measured, (name, settings)
        assert len({score.ap for score in scores.values()}) > 3


def test_an_evaluation_at_a_grid_tells_what_it_chose(checkpoints, parts):
    """The honest score is `segm/AP`; the default's, the best, and the settings are beside it."""
    truth = load_ground_truth(parts / "val.json")
    _, model, inputs = checkpoints[-1]
    found = evaluate(model, ValidationSet(truth, inputs), GRID)
    metrics, settings = found.metrics, found.details.settings
    default = stock_detections(stock_outputs(model, inputs, rule_of(GRID.default)), inputs, 0.5)
    assert metrics["settings/AP_default"] == segm_ap(truth, default) == settings.default.value
    assert metrics["settings/AP_crossfit"] == metrics["segm/AP"] == settings.chosen.value
    assert metrics["settings/AP_best"] == max(score.value for score in settings.scores)
    assert len(settings.scores) == len(GRID.combinations())
    assert metrics["settings/mask_threshold"] in GRID.mask_thresholds
    assert metrics["settings/score_threshold"] in GRID.score_thresholds
    assert {"lrp/oLRP", "op/F1", "calibration/mask_ECE", "boundary/AP"} <= set(metrics)
    assert found.details.operating_points
    assert found.details.reliability
    assert all(metric_named(name) for name in metrics)


def test_a_mask_does_not_depend_on_the_boxes_beside_it(checkpoints):
    """A pass for one setting gives the bits of a pass for all, which are the model's up to its last bits."""
    rules = box_rules(GRID)
    for name, model, inputs in checkpoints:
        with torch.inference_mode():
            together = infer(model, inputs[:8], rules)
            for rule in (rules[0], rules[-1]):
                stock = stock_outputs(model, inputs[:8], rule)
                alone = infer(model, inputs[:8], [rule])
                for union, one, expected in zip(together, alone, stock, strict=True):
                    if not one.kept[rule]:
                        continue
                    masks = union.instances[list(union.kept[rule])].pred_masks
                    assert torch.equal(masks, one.instances[list(one.kept[rule])].pred_masks), name
                    np.testing.assert_allclose(masks, expected.pred_masks, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    "base",
    [
        {"zoo": "Misc/cascade_mask_rcnn_R_50_FPN_1x.yaml", "weights": "none"},
        {"zoo": "COCO-InstanceSegmentation/mask_rcnn_R_50_C4_1x.yaml", "weights": "none"},
    ],
)
def test_cascade_and_c4_heads_are_passed_through_as_well(base, parts):
    """Every kind of heads that the zoo has for masks gives the boxes that it gives alone."""
    spec = make_spec(
        base=base, space={"input.size": {"choices": [64]}, "rpn.post_nms_topk": {"choices": [50]}},
        inference={"score_threshold": 0.02},
    )  # fmt: skip
    params = {"input.size": 64, "rpn.post_nms_topk": 50}
    seed_everything(0)
    cfg = build_config(spec, params, seed=0, output_dir="unused", num_classes=3, device="cpu")
    model = build_model(cfg).eval()
    record = {"image_id": 1, "height": 64, "width": 64}
    image = torch.randint(0, 256, (3, 64, 64), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    inputs = [{**record, "image": image}, {**record, "image_id": 2, "image": 255 - image}]
    rules = [(0.02, 0.3, 10), (0.02, 0.7, 10), (0.3, 0.5, 10)]
    with torch.inference_mode():
        unions = infer(model, inputs, rules)
    for rule in rules:
        for union, expected in zip(unions, stock_outputs(model, inputs, rule), strict=True):
            actual = union.instances[list(union.kept[rule])]
            assert torch.equal(actual.pred_boxes.tensor, expected.pred_boxes.tensor)
            assert torch.equal(actual.scores, expected.scores)
            np.testing.assert_allclose(actual.pred_masks, expected.pred_masks, atol=1e-5, rtol=0)
    assert sum(len(union.instances) for union in unions) > 0
