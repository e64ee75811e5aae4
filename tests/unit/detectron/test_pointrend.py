from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.config import get_cfg
from detectron2.structures import BitMasks, Boxes, Instances
from detectron2.utils.events import EventStorage

pytest.importorskip("detectron2.projects.point_rend")

from detectron2.projects.point_rend import PointRendMaskHead, add_pointrend_config

from runners.detectron.config import build_config, masksweep_cfg, portable_config
from runners.detectron.model import build_model
from sweeps.testing import make_spec
from tests.detect import SETTINGS, detect

POINTREND = {"mask_head.name": "pointrend"}


def build(params=None, base=None, **sections):
    if base is not None:
        sections["base"] = base
    return build_config(
        make_spec(**sections),
        {**POINTREND, **(params or {})},
        seed=0,
        output_dir="out",
        num_classes=3,
        device="cpu",
    )


def images(*counts):
    """A batch of grey 64 px images with that many parts each, as the training mapper gives them."""
    batch = []
    for count in counts:
        instances = Instances((64, 64))
        planes = torch.zeros(count, 64, 64, dtype=torch.bool)
        planes[:, 10:40, 12:44] = True
        instances.gt_masks = BitMasks(planes)
        instances.gt_boxes = Boxes(torch.tensor([[12.0, 10.0, 44.0, 40.0]] * count).reshape(-1, 4))
        instances.gt_classes = torch.arange(count) % 3
        image = torch.full((3, 64, 64), 100, dtype=torch.uint8)
        batch.append({"image": image, "instances": instances, "height": 64, "width": 64})
    return batch


def test_knobs_reach_the_point_head():
    """Each knob of the branch is seen in the model that is built."""
    params = {
        "point_head.num_points": 50,
        "point_head.importance_ratio": 0.5,
        "point_head.subdivision_steps": 3,
        "point_head.fc_dim": 64,
        "point_head.num_fc": 2,
    }
    head = build_model(build(params)).roi_heads.mask_head
    assert isinstance(head, PointRendMaskHead)
    assert (head.mask_point_train_num_points, head.mask_point_importance_sample_ratio) == (50, 0.5)
    assert [layer.out_channels for layer in head.point_head.fc_layers] == [64, 64]
    model = build_model(build({**params, "mask_head.conv_dim": 32})).roi_heads.mask_head
    assert model.coarse_head.conv_layers[0].out_channels == 32


@pytest.mark.parametrize("width", [32, 64, 128])
@pytest.mark.parametrize("counts", [(2, 1), (2, 0), (0, 0)])
def test_it_trains_on_any_batch(width, counts):
    """Coarse heads narrower or wider than the features, images without parts: losses are finite."""
    model = build_model(build({"mask_head.conv_dim": width, "mask_head.loss_weight": 0.5}))
    assert model.roi_heads.mask_head.loss_weight == 0.5
    with EventStorage():
        losses = model(images(*counts))
    sum(losses.values()).backward()
    assert {"loss_mask", "loss_mask_point"} <= set(losses)
    assert all(torch.isfinite(loss) for loss in losses.values())
    assert (losses["loss_mask_point"].item() > 0) == (sum(counts) > 0)


@pytest.mark.parametrize(("steps", "side"), [(2, 28), (3, 56), (5, 224)])
def test_masks_of_any_side_are_evaluated(steps, side):
    """Seven cells are doubled at each step, and masks come out in the size of the image all the same."""
    torch.manual_seed(0)
    params = {"point_head.subdivision_steps": steps}
    model = build_model(build(params, inference={"score_threshold": 0.01})).eval()
    inputs = [{**item, "image_id": k, "height": 96, "width": 96} for k, item in enumerate(images(1, 1), 1)]
    with torch.inference_mode():
        raw = model.inference(inputs, do_postprocess=False)
    assert raw[0].pred_masks.shape[1:] == (1, side, side)
    alone, together = (detect(model, inputs, batch_size=size) for size in (1, 2))
    assert sum(len(item.scores) for item in together) > 5
    for expected, actual in zip(alone, together, strict=True):
        assert [mask["size"] for mask in actual.masks] == [[96, 96]] * len(actual.scores)
        np.testing.assert_allclose(actual.scores, expected.scores, atol=1e-5)


def test_an_image_without_detections_is_evaluated():
    """No box at all is no error."""
    model = build_model(build(inference={"score_threshold": 0.999})).eval()
    inputs = [{**item, "image_id": 1} for item in images(0)]
    assert detect(model, inputs, settings=replace(SETTINGS, score_threshold=0.999))[0].masks == []


def test_targets_are_masks_of_pixels():
    """Polygons do not serve PointRend, so the mapper is told to draw them."""
    assert build().INPUT.MASK_FORMAT == "bitmask"


def test_it_fits_the_bases_of_the_presets():
    """Features come from the finest level of the boxes; a ResNet-50 gets PointRend's own dimensions."""
    head = build(base={"preset": "mask_rcnn_R_50_FPN", "weights": "none"}).MODEL.ROI_MASK_HEAD
    assert (head.IN_FEATURES, head.FC_DIM, head.CONV_DIM, head.POOLER_RESOLUTION) == (("p2",), 1024, 256, 14)
    dilated = build(base={"zoo": "COCO-InstanceSegmentation/mask_rcnn_R_50_DC5_1x.yaml", "weights": "none"})
    assert dilated.MODEL.ROI_MASK_HEAD.IN_FEATURES == ("res5",)


def test_a_base_without_a_pyramid_is_told():
    """C4 models share one head between boxes and masks, so that PointRend has no place in them."""
    with pytest.raises(ValueError, match=r"pointrend needs a base with .* is Res5ROIHeads"):
        build(base={"zoo": "COCO-InstanceSegmentation/mask_rcnn_R_50_C4_1x.yaml", "weights": "none"})


def test_a_users_own_pointrend_config_is_a_base(tmp_path: Path):
    """A config of Detectron2's PointRend project keeps its values and gets the data's classes."""
    cfg = masksweep_cfg()
    cfg.merge_from_file(_portable(tmp_path, {"point_head.num_fc": 2}), allow_unsafe=False)
    file = tmp_path / "base.yaml"
    cfg.MODEL.POINT_HEAD.NUM_CLASSES = 80
    file.write_text(cfg.dump())
    built = build_config(
        make_spec(base={"file": str(file), "weights": "none"}),
        {},
        seed=0,
        output_dir="out",
        num_classes=3,
        device="cpu",
    )
    assert (built.MODEL.POINT_HEAD.NUM_CLASSES, built.MODEL.POINT_HEAD.NUM_FC) == (3, 2)
    build_model(built)


def test_the_config_beside_a_checkpoint_is_pointrends_own(tmp_path: Path):
    """Detectron2 with its project reads it, and finds in it the head that it has."""
    cfg = get_cfg()
    add_pointrend_config(cfg)
    cfg.merge_from_file(_portable(tmp_path, {}), allow_unsafe=False)
    assert cfg.MODEL.ROI_MASK_HEAD.NAME == "PointRendMaskHead"


def _portable(directory: Path, params) -> str:
    path = directory / "portable.yaml"
    path.write_text(portable_config(build(params)))
    return str(path)


def test_other_heads_leave_no_trace_of_the_project():
    """A portable config of another head has none of the project's keys."""
    cfg = build_config(make_spec(), {}, seed=0, output_dir="out", num_classes=3, device="cpu")
    get_cfg().merge_from_other_cfg(type(cfg).load_cfg(portable_config(cfg)))  # raises at an unknown key


@pytest.mark.parametrize(
    ("params", "head", "side"),
    [
        ({"mask_head.upsample_stride": 4}, "StridedMaskHead", 56),
        ({"mask_head.loss": "dice"}, "StridedMaskHead", 28),
        ({"mask_head.name": "stock"}, "MaskRCNNConvUpsampleHead", 28),
        ({"mask_head.name": "strided", "mask_head.num_conv": 3}, "StridedMaskHead", 28),
    ],
)
def test_a_base_of_pointrend_takes_other_heads(tmp_path, params, head, side):
    """A config file of PointRend makes the trials that ask for another head, trains and evaluates them."""
    file = tmp_path / "pointrend.yaml"
    file.write_text(portable_config(build()))
    spec = make_spec(base={"file": str(file), "weights": "none"}, inference={"score_threshold": 0.01})
    cfg = build_config(spec, params, seed=0, output_dir="out", num_classes=3, device="cpu")
    model = build_model(cfg)
    assert type(model.roi_heads.mask_head).__name__ == head
    with EventStorage():
        losses = model(images(2, 0))
    assert "loss_mask" in losses
    assert "loss_mask_point" not in losses
    with torch.inference_mode():
        raw = model.eval().inference(images(1), do_postprocess=False)
    assert raw[0].pred_masks.shape[-2:] == (side, side)
