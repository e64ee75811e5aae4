"""Every setting scored from one pass: equal to scoring that setting alone."""

import itertools

import hotcoco.mask
import numpy as np
import pytest
import torch
from detectron2.layers import paste_masks_in_image
from detectron2.structures import Boxes, Instances

from runners.evaluation.aim import aim_of
from runners.evaluation.calibration import MaskCalibration
from runners.evaluation.candidates import candidates_of, place
from runners.evaluation.choice import choose, halves
from runners.evaluation.coco import ground_truth
from runners.evaluation.image_truth import truth_by_image
from runners.evaluation.inference_pass import Pass
from runners.evaluation.metrics import evaluate_detections
from runners.evaluation.one_pass import Union, box_rules, rule_of
from runners.evaluation.settings_grid import GridScorer
from runners.evaluation.soft_masks import levels_of, pack, paste
from sweeps.core.inference import InferenceSettings, SettingsGrid
from sweeps.core.size_bins import STANDARD_BINS

SIDE = 120
DEFAULT = InferenceSettings(0.5, 0.05, 0.5, 20)
GRID = SettingsGrid((0.2, 0.5, 0.8), (0.05, 0.3, 0.6), (0.3, 0.5), (3, 20), DEFAULT)
CATEGORIES = [{"id": 3, "name": "gear"}, {"id": 7, "name": "bracket"}, {"id": 40, "name": "washer"}]


def disc(rng, at=None):
    """A filled ellipse between 6 and 110 px across."""
    y, x = np.mgrid[:SIDE, :SIDE]
    ry, rx = np.exp(rng.uniform(np.log(3), np.log(55), 2))
    cy, cx = rng.uniform(0, SIDE, 2) if at is None else at
    return ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 <= 1


def corners(mask):
    ys, xs = np.nonzero(mask)
    return [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1] if len(ys) else [0, 0, 1, 1]


def random_pass(seed, images=10):
    """Ground truth with crowds and ties, and a pass whose soft masks lie near it."""
    rng = np.random.default_rng(seed)
    annotations, unions = [], []
    rules = box_rules(GRID)
    for image_id in range(1, images + 1):
        boxes, soft, classes = [], [], []
        for _ in range(0 if image_id % 4 == 0 else int(rng.integers(1, 6))):
            mask, category = disc(rng), int(rng.integers(3))
            x0, y0, x1, y1 = corners(mask)
            code = hotcoco.mask.encode(np.asfortranarray(mask.astype(np.uint8)))
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": CATEGORIES[category]["id"],
                    "iscrowd": int(rng.random() < 0.2),
                    "area": float(mask.sum()),
                    "bbox": [float(v) for v in (x0, y0, x1 - x0, y1 - y0)],
                    "segmentation": {"size": [SIDE, SIDE], "counts": code["counts"].decode()},
                }
            )
            for _ in range(int(rng.integers(0, 4))):
                boxes.append(np.array([x0, y0, x1, y1]) + rng.uniform(-4, 4, 4))
                soft.append(rng.random((8, 8)) * 0.5 + 0.4)
                classes.append(category if rng.random() < 0.8 else int(rng.integers(3)))
        for _ in range(int(rng.integers(0, 3))):
            boxes.append(np.array(corners(disc(rng)), float))
            soft.append(rng.random((8, 8)))
            classes.append(int(rng.integers(3)))
        scores = np.round(rng.random(len(boxes)), 1)  # rounded: many ties
        instances = Instances((SIDE, SIDE))
        instances.pred_boxes = Boxes(torch.tensor(np.array(boxes).reshape(-1, 4), dtype=torch.float32))
        instances.scores = torch.tensor(scores, dtype=torch.float32)
        instances.pred_classes = torch.tensor(classes, dtype=torch.long)
        instances.pred_masks = torch.tensor(np.array(soft).reshape(-1, 1, 8, 8), dtype=torch.float32)
        order = np.argsort(-scores, kind="stable")
        kept = {}
        for score, nms, limit in rules:
            # a stricter NMS keeps less, but not always a part of what a laxer one keeps
            chosen = [int(i) for i in order if scores[i] > score and (i * 7 + int(nms * 10)) % 5]
            kept[score, nms, limit] = tuple(chosen[:limit])
        unions.append((image_id, Union(instances, kept)))
    document = {
        "images": [{"id": i, "height": SIDE, "width": SIDE} for i in range(1, images + 1)],
        "annotations": annotations,
        "categories": CATEGORIES,
    }
    truth = ground_truth(document)
    thresholds = (0.2, 0.5, 0.8)
    return truth, done_pass(truth, thresholds, unions)


def done_pass(truth, thresholds, unions):
    """A pass that found these unions, by image id."""
    truths, found = truth_by_image(truth), []
    for image_id, union in unions:
        height, width = truth.sizes[image_id]
        item = {"image_id": image_id, "height": height, "width": width}
        there = {k: some for (image, k), some in truths.items() if image == image_id}
        planes = {k: some.decoded() for k, some in there.items()}
        placed = place(item, union)
        found.append(candidates_of(item, union, placed, thresholds=thresholds, truths=there, planes=planes))
    return Pass(thresholds, found, truths, MaskCalibration(), {})


def ids(done):
    return [image.image_id for image in done.images]


@pytest.mark.parametrize(
    "metric",
    ["segm/AP", "segm/APs", "segm/APm", "segm/AP50", "segm/AP75", "segm/AP-bracket", "segm/AP_tiny"],
)
@pytest.mark.parametrize("seed", range(4))
def test_every_setting_scores_as_if_it_had_been_evaluated_alone(seed, metric):
    """Bit for bit what COCO's evaluation of the masks at that setting gives, crowds and ties included."""
    truth, done = random_pass(seed)
    aimed, aim = aim_of(metric, truth.names, STANDARD_BINS)
    assert aimed == metric
    scores = GridScorer(done, len(CATEGORIES), aim).scores(GRID.combinations(), ids(done))
    alone = {
        settings: evaluate_detections(truth, [done.detections(image, settings) for image in done.images])
        for settings in GRID.combinations()
    }
    assert {settings: score.ap for settings, score in scores.items()} == {
        settings: metrics.get(metric) for settings, metrics in alone.items()
    }
    assert metric != "segm/AP" or len({score.ap for score in scores.values()}) > 3


def test_lrp_and_f1_count_what_was_found_missed_and_made_up():
    """One object found at IoU 1, one missed, one made up: F1 is 50, LRP 2 of 3 errors."""
    document = {
        "images": [{"id": 1, "height": 20, "width": 40}],
        "categories": [{"id": 1, "name": "part"}],
        "annotations": [
            {"id": k, "image_id": 1, "category_id": 1, "iscrowd": 0, "bbox": [x, 4, 8, 8], "area": 64.0,
             "segmentation": [[x, 4, x + 8, 4, x + 8, 12, x, 12]]}
            for k, x in ((1, 2.0), (2, 14.0))
        ],
    }  # fmt: skip
    truth = ground_truth(document)
    instances = Instances((20, 40))
    instances.pred_boxes = Boxes(torch.tensor([[2.0, 4.0, 10.0, 12.0], [28.0, 4.0, 36.0, 12.0]]))
    instances.scores = torch.tensor([0.9, 0.8])
    instances.pred_classes = torch.tensor([0, 0])
    instances.pred_masks = torch.ones(2, 1, 8, 8)
    grid = SettingsGrid.single(DEFAULT)
    union = Union(instances, {rule_of(DEFAULT): (0, 1)})
    done = done_pass(truth, (0.5,), [(1, union)])
    score = GridScorer(done, 1).scores(grid.combinations(), [1])[DEFAULT]
    assert score.f1 == pytest.approx(50.0)
    assert score.lrp == pytest.approx(200 / 3)


def test_images_are_judged_by_settings_that_other_images_chose():
    """The two halves are equal up to one, and what a half is judged by depends on the other half alone."""
    _, done = random_pass(5, images=11)
    scorer = GridScorer(done, len(CATEGORIES))
    choice = choose(scorer, GRID, ids(done))
    first, second = halves(ids(done))
    assert abs(len(first) - len(second)) <= 1
    assert first | second == set(ids(done))
    for judged, other in ((first, second), (second, first)):
        by = {choice.judged_by[image] for image in judged}
        on_other = scorer.scores(GRID.combinations(), other)
        best = max(score.ap for score in on_other.values() if score.ap is not None)
        assert {on_other[one].ap for one in by} == {best}
    assert choice.scores[choice.chosen].ap == max(score.ap for score in choice.scores.values())
    assert choice.operating.mask_threshold == choice.chosen.mask_threshold
    assert choice.scores[choice.operating].lrp == min(
        choice.scores[one].lrp
        for one in GRID.combinations()
        if (one.mask_threshold, one.nms_threshold, one.detections_per_image)
        == (choice.chosen.mask_threshold, choice.chosen.nms_threshold, choice.chosen.detections_per_image)
    )


def test_a_bigger_grid_buys_no_luck():
    """Where settings make no difference but noise, the cross-fit score is as good as any, not as the best."""
    gains, lucky = [], []
    for seed in range(20):
        truth, done = random_pass(100 + seed, images=12)
        scorer = GridScorer(done, len(CATEGORIES))
        choice = choose(scorer, GRID, ids(done))
        honest = evaluate_detections(
            truth, [done.detections(image, choice.judged_by[image.image_id]) for image in done.images]
        )["segm/AP"]
        of_all = [score.ap for score in choice.scores.values()]
        gains.append(honest - choice.scores[choice.chosen].ap)
        lucky.append(choice.scores[choice.chosen].ap - np.mean(of_all))
    assert np.mean(lucky) > 0
    assert np.mean(gains) < 0


def test_a_grid_of_one_has_nothing_to_choose():
    """Every image is judged by the only settings there are."""
    _, done = random_pass(3)
    choice = choose(GridScorer(done, len(CATEGORIES)), SettingsGrid.single(DEFAULT), ids(done))
    assert set(choice.judged_by.values()) == {choice.chosen} == {choice.operating} == {DEFAULT}


def test_masks_come_back_as_they_were_pasted():
    """A packed mask at each threshold is what Detectron2 pastes at that threshold, pixel for pixel."""
    rng = np.random.default_rng(8)
    soft = torch.tensor(rng.random((40, 14, 14)), dtype=torch.float32)
    boxes = torch.tensor(rng.uniform(-10, SIDE, (40, 2)), dtype=torch.float32)
    boxes = torch.cat([boxes, boxes + torch.tensor(rng.uniform(1, 60, (40, 2)), dtype=torch.float32)], dim=1)
    boxes = boxes.clamp(0, SIDE)
    thresholds = (0.1, 0.3, 0.5, 0.7, 0.9)
    regions = list(paste(soft, boxes, (SIDE, SIDE)))
    packed = [
        pack(region, levels_of(region, np.array(thresholds, np.float32)), (SIDE, SIDE)) for region in regions
    ]
    for reached, threshold in enumerate(thresholds, start=1):
        expected = paste_masks_in_image(soft, boxes, (SIDE, SIDE), threshold).numpy()
        actual = np.stack([hotcoco.mask.decode(mask.encode(reached)) for mask in packed])
        assert np.array_equal(expected, actual.astype(bool))


def test_combinations_are_all_there_are():
    """A grid's combinations are the product of its axes."""
    axes = (GRID.mask_thresholds, GRID.score_thresholds, GRID.nms_thresholds, GRID.detections_per_image)
    assert GRID.combinations() == tuple(InferenceSettings(*one) for one in itertools.product(*axes))
