import numpy as np
import pytest
import torch
from detectron2.modeling.anchor_generator import DefaultAnchorGenerator
from detectron2.structures import Boxes, pairwise_iou

from runners.detectron.anchors import box_shapes, cluster_shapes, fit_anchors
from runners.detectron.config import build_config, masksweep_cfg
from runners.detectron.data import dataset_dicts, register
from sweeps.core.spec import parse_spec
from sweeps.testing import make_spec


def image(height, width, *boxes, crowd=False):
    items = [{"bbox": [5.0, 5.0, *box], "iscrowd": int(crowd)} for box in boxes]
    return {"height": height, "width": width, "annotations": items}


@pytest.fixture
def data(parts):
    return register(parse_spec((parts / "spec.yaml").read_text(), parts))


def test_clusters_are_found_whatever_the_order():
    """Three kinds of shapes give their three means; chance plays no part."""
    rng = np.random.default_rng(0)
    kinds = np.array([[10.0, 10.0], [30.0, 60.0], [200.0, 80.0]])
    shapes = np.repeat(kinds, 40, axis=0) * rng.uniform(0.95, 1.05, (120, 2))
    centers = cluster_shapes(shapes, 3)
    np.testing.assert_allclose(centers, kinds, rtol=0.03)
    np.testing.assert_allclose(cluster_shapes(rng.permutation(shapes), 3), centers)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_any_number_of_clusters_is_made_of_any_number_of_shapes(count):
    """Fewer shapes than clusters repeat themselves: each level still gets its anchors."""
    shapes = np.array([[12.0, 20.0], [12.0, 20.0], [40.0, 10.0]])
    centers = cluster_shapes(shapes, count)
    assert centers.shape == (count, 2)
    assert (centers >= shapes.min(axis=0)).all()
    assert (centers <= shapes.max(axis=0)).all()


def test_boxes_are_measured_as_training_sees_them():
    """The shorter side gets the mean of the training sizes, within the limit on the longer one."""
    records = [
        image(100, 200, (10, 20)),
        image(400, 100, (10, 20), (0, 5)),
        image(100, 100, (9, 9), crowd=True),
    ]
    assert box_shapes(records, (190, 210), 1000).tolist() == [[20, 40], [20, 40]]
    assert box_shapes(records, (200,), 400).tolist() == [[20, 40], [10, 20]]
    assert box_shapes(records, (0,), 400).tolist() == [[10, 20], [10, 20]]


def test_large_sets_are_sampled_evenly():
    """Some twenty thousand boxes say enough."""
    records = [image(100, 100, *[(width, 10)] * 500) for width in range(1, 91)]
    shapes = box_shapes(records, (100,), 100)
    assert 10_000 < len(shapes) <= 20_000
    assert set(shapes[:, 0].round().astype(int)) == set(range(1, 91))


@pytest.mark.parametrize(
    ("sizes", "ratios"),
    [
        ([[32], [64], [128], [256], [512]], [[0.5, 1.0, 2.0]]),
        ([[32, 64, 128, 256, 512]], [[0.5, 1.0, 2.0]]),
        ([[16, 20], [32, 40], [64, 80]], [[1.0], [1.0], [1.0]]),
    ],
)
def test_the_bases_structure_is_kept(data, sizes, ratios):
    """Levels, sizes a level and ratios are as many as before; sizes ascend from level to level."""
    cfg = masksweep_cfg()
    cfg.MODEL.ANCHOR_GENERATOR.SIZES, cfg.MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS = sizes, ratios
    cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.MAX_SIZE_TRAIN = (128,), 128
    fit_anchors(cfg, data)
    node = cfg.MODEL.ANCHOR_GENERATOR
    assert [len(level) for level in node.SIZES] == [len(level) for level in sizes]
    assert [len(level) for level in node.ASPECT_RATIOS] == [len(level) for level in ratios]
    flat = [size for level in node.SIZES for size in level]
    assert flat == sorted(flat)


def best_iou(cfg, data):
    """Mean over the training boxes of the IoU with the anchor that fits best."""
    node = cfg.MODEL.ANCHOR_GENERATOR
    cells = DefaultAnchorGenerator(
        sizes=node.SIZES, aspect_ratios=node.ASPECT_RATIOS, strides=[4, 8, 16]
    ).cell_anchors
    shapes = box_shapes(dataset_dicts(data.train), cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.MAX_SIZE_TRAIN)
    boxes = torch.tensor(np.concatenate([-shapes / 2, shapes / 2], axis=1), dtype=torch.float32)
    return pairwise_iou(Boxes(boxes), Boxes(torch.cat(list(cells)))).max(dim=1).values.mean().item()


def test_fitted_anchors_fit_better(data):
    """On the tiny preset the boxes overlap more with their anchors than with the preset's own."""
    spec = make_spec()
    built = {
        preset: build_config(
            spec,
            {"anchors.preset": preset},
            seed=0,
            output_dir="",
            num_classes=3,
            device="cpu",
            data=data,
        )
        for preset in ("default", "fitted")
    }
    assert best_iou(built["fitted"], data) > best_iou(built["default"], data) + 0.05
    assert len(built["fitted"].MODEL.ANCHOR_GENERATOR.SIZES) == 3


def test_they_follow_the_input_size(data):
    """At twice the input size the anchors are twice as large."""
    small, large = (
        build_config(
            make_spec(),
            {"anchors.preset": "fitted", "input.size": size},
            seed=0,
            output_dir="",
            num_classes=3,
            device="cpu",
            data=data,
        ).MODEL.ANCHOR_GENERATOR.SIZES
        for size in (128, 256)
    )
    np.testing.assert_allclose(np.ravel(large), 2 * np.ravel(small), rtol=0.01)


def test_without_data_there_is_nothing_to_fit():
    """A config without data says so."""
    with pytest.raises(ValueError, match="fitted needs the registered training data"):
        build_config(
            make_spec(), {"anchors.preset": "fitted"}, seed=0, output_dir="", num_classes=3, device="cpu"
        )
