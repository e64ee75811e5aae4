from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling.roi_heads.mask_head import build_mask_head
from detectron2.structures import BitMasks, Boxes, Instances, PolygonMasks
from detectron2.utils.events import EventStorage

from runners.detectron.config import build_config, masksweep_cfg, portable_config
from runners.detectron.mask_iou import MaskIoUHead, true_ious
from runners.detectron.mask_losses import mask_targets
from runners.detectron.model import build_model
from sweeps.testing import make_spec
from tests.detect import detect

SQUARE = [10.0, 10.0, 30.0, 10.0, 30.0, 30.0, 10.0, 30.0]


def head(*, stride=2, agnostic=False, mask_iou=True, loss="bce"):
    cfg = masksweep_cfg()
    node = cfg.MODEL.ROI_MASK_HEAD
    node.NAME, node.UPSAMPLE_STRIDE, node.CLS_AGNOSTIC_MASK = "StridedMaskHead", stride, agnostic
    node.MASK_IOU, node.MASK_IOU_WEIGHT, node.LOSS = mask_iou, 0.5, loss
    node.CONV_DIM, node.NUM_CONV = 32, 1
    cfg.MODEL.ROI_HEADS.NUM_CLASSES, cfg.MODEL.ROI_BOX_HEAD.FC_DIM = 3, 16
    torch.manual_seed(0)
    return build_mask_head(cfg, ShapeSpec(channels=8, width=14, height=14))


def proposals(*counts, box=(5.0, 5.0, 35.0, 35.0), bitmasks=False):
    images = []
    for count in counts:
        image = Instances((64, 64))
        polygons = PolygonMasks([[SQUARE]] * count)
        image.gt_masks = BitMasks.from_polygon_masks(polygons, 64, 64) if bitmasks else polygons
        image.gt_boxes = Boxes(torch.tensor([[10.0, 10.0, 30.0, 30.0]] * count).reshape(-1, 4))
        image.gt_classes = torch.arange(count) % 3
        image.proposal_boxes = Boxes(torch.tensor([box] * count).reshape(-1, 4))
        images.append(image)
    return images


def detections(*counts):
    images = []
    for count in counts:
        image = Instances((64, 64))
        image.pred_boxes = Boxes(torch.tensor([[5.0, 5.0, 35.0, 35.0]] * count).reshape(-1, 4))
        image.pred_classes = torch.arange(count) % 3
        image.scores = torch.linspace(0.9, 0.1, count)
        images.append(image)
    return images


@pytest.mark.parametrize("bitmasks", [False, True])
@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((5.0, 5.0, 35.0, 35.0), 1.0),  # all of the object
        ((20.0, 0.0, 40.0, 40.0), 0.5),  # its right half
        ((20.0, 20.0, 60.0, 60.0), 0.25),  # a quarter
    ],
)
def test_what_a_box_cuts_off_counts_as_missed(box, expected, bitmasks):
    """The best mask that a proposal's box allows has the IoU of what the box holds with all of the object."""
    images = proposals(2, 1, box=box, bitmasks=bitmasks)
    targets = mask_targets(56, images)
    assert true_ious(targets.masks, targets, images).tolist() == pytest.approx([expected] * 3, abs=0.05)


def test_a_wrong_mask_has_a_low_iou():
    """Nothing predicted is 0; all of the box is the share that the object fills."""
    images = proposals(1)
    targets = mask_targets(56, images)
    assert true_ious(torch.zeros(1, 56, 56), targets, images).item() == 0
    full = true_ious(torch.ones(1, 56, 56), targets, images).item()
    assert full == pytest.approx(400 / 900, abs=0.03)


@pytest.mark.parametrize("agnostic", [False, True])
@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("loss", ["bce", "dice"])
def test_the_branch_learns_what_the_masks_are_worth(stride, agnostic, loss):
    """With the masks as they are, a few steps lower its loss, for any stride and number of masks."""
    model = head(stride=stride, agnostic=agnostic, loss=loss)
    optimizer = torch.optim.Adam(model.mask_iou.parameters(), 0.003)
    x, values = torch.randn(3, 8, 14, 14), []
    for _ in range(10):
        optimizer.zero_grad()
        with EventStorage():
            losses = model(x, proposals(2, 0, 1))
        sum(losses.values()).backward()
        optimizer.step()
        values.append(losses["loss_mask_iou"].item())
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert set(losses) == {"loss_mask", "loss_mask_iou"}
    assert values[-1] < values[0]


def test_a_batch_without_foreground_has_no_loss():
    """Both losses are 0 and have a gradient."""
    with EventStorage():
        losses = head()(torch.zeros(0, 8, 14, 14), proposals(0, 0))
    sum(losses.values()).backward()
    assert [loss.item() for loss in losses.values()] == [0, 0]


def test_the_masks_are_those_of_the_head_without_the_branch():
    """The branch adds weights of its own and changes none of the mask's, in the same order of names."""
    with_branch, without = head(), head(mask_iou=False)
    names = [name for name in with_branch.state_dict() if not name.startswith("mask_iou.")]
    assert names == list(without.state_dict())
    assert all(torch.equal(with_branch.state_dict()[name], without.state_dict()[name]) for name in names)
    x = torch.randn(2, 8, 14, 14)
    assert torch.equal(with_branch.layers(x), without.layers(x))


def test_scores_are_multiplied_and_box_scores_kept():
    """Each detection has its box score, its mask's IoU and their product, in the order that it came in."""
    model = head().eval()
    with torch.inference_mode():
        first, none, other = model(torch.randn(6, 8, 14, 14), detections(4, 0, 2))
    for item, count in ((first, 4), (none, 0), (other, 2)):
        assert torch.equal(item.box_scores, torch.linspace(0.9, 0.1, count))
        assert torch.equal(item.scores, item.box_scores * item.mask_ious)
        assert ((item.mask_ious >= 0) & (item.mask_ious <= 1)).all()
        assert item.pred_masks.shape == (count, 1, 28, 28)


def test_a_detection_is_rescored_on_its_own():
    """Alone or among others, once or twice: the same score."""
    model, x = head().eval(), torch.randn(5, 8, 14, 14)
    with torch.inference_mode():
        (together,) = model(x, detections(5))
        (again,) = model(x, [together])
        for place in range(5):
            (alone,) = model(x[place : place + 1], [detections(5)[0][[place]]])
            torch.testing.assert_close(alone.scores, again.scores[[place]], rtol=1e-5, atol=1e-7)
            assert torch.equal(alone.box_scores, again.box_scores[[place]])


def test_given_boxes_without_scores_get_their_ious():
    """Boxes that somebody gives have no score to multiply."""
    (item,) = detections(2)
    item.remove("scores")
    with torch.inference_mode():
        (item,) = head().eval()(torch.randn(2, 8, 14, 14), [item])
    assert item.has("mask_ious")
    assert not item.has("scores")


@pytest.mark.parametrize("side", [7, 14, 28])
def test_windows_of_any_side(side):
    """At the paper's 14 cells nothing is averaged; other sides give as many numbers."""
    branch = MaskIoUHead(8, conv_dim=16, fc_dim=16, num_classes=3)
    assert branch(torch.randn(2, 8, side, side), torch.rand(2, 2 * side, 2 * side)).shape == (2, 3)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return build_model(config()).eval()


def config(**params):
    return build_config(
        make_spec(inference={"score_threshold": 0.01}),
        {"mask_head.mask_iou": True, **params},
        seed=0,
        output_dir="out",
        num_classes=3,
        device="cpu",
    )


def inputs():
    generator = torch.Generator().manual_seed(1)
    image = torch.randint(0, 256, (3, 64, 64), generator=generator, dtype=torch.uint8)
    return [{"image_id": 1, "height": 64, "width": 64, "image": image}]


def test_predictions_come_best_first(model):
    """After rescoring, the order is that of the scores that are reported."""
    scores = detect(model, inputs())[0].scores
    assert len(scores) > 5
    assert (np.diff(scores) <= 0).all()


def test_given_boxes_are_rescored_as_in_a_full_pass(model):
    """`forward_with_given_boxes` on the boxes of a pass gives that pass's masks and scores."""
    with torch.inference_mode():
        images = model.preprocess_image(inputs())
        features = model.backbone(images.tensor)
        proposed, _ = model.proposal_generator(images, features)
        found, _ = model.roi_heads(images, features, proposed)
        given = Instances(found[0].image_size)
        given.pred_boxes, given.pred_classes = found[0].pred_boxes, found[0].pred_classes
        given.scores = found[0].box_scores
        again = model.roi_heads.forward_with_given_boxes(features, [given])
    assert torch.equal(again[0].scores, found[0].scores)
    assert torch.equal(again[0].box_scores, found[0].box_scores)


def test_the_config_beside_a_checkpoint_keeps_the_branch(tmp_path: Path):
    """What is read back builds the same model."""
    file = tmp_path / "config.yaml"
    file.write_text(portable_config(config()))
    cfg = masksweep_cfg()
    cfg.merge_from_file(str(file), allow_unsafe=False)
    assert build_model(cfg).state_dict().keys() == build_model(config()).state_dict().keys()
