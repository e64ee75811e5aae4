import pytest
import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling.roi_heads.mask_head import build_mask_head
from detectron2.structures import BitMasks, Boxes, Instances, PolygonMasks
from detectron2.utils.events import EventStorage
from torch.nn import functional

from runners.detectron.config import masksweep_cfg
from runners.detectron.mask_losses import boundary_loss, dice_loss, mask_targets, of_classes

SIDE = 28


def disc() -> torch.Tensor:
    """(1, 28, 28): a disc of radius 8 in the middle."""
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    return ((x - 13.5).hypot(y - 13.5) < 8).float()[None]


def head(loss: str, *, name: str = "StridedMaskHead", stride: int = 2, agnostic: bool = False):
    cfg = masksweep_cfg()
    node = cfg.MODEL.ROI_MASK_HEAD
    node.NAME, node.LOSS, node.UPSAMPLE_STRIDE, node.CLS_AGNOSTIC_MASK = name, loss, stride, agnostic
    node.CONV_DIM, node.NUM_CONV = 32, 1
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = 3
    torch.manual_seed(0)
    return build_mask_head(cfg, ShapeSpec(channels=8, width=14, height=14))


def proposals(*counts: int, bitmasks: bool = False) -> list[Instances]:
    """For each image that many proposals of one square part, of classes 0, 1, 2, 0, ..."""
    images = []
    for count in counts:
        image = Instances((64, 64))
        polygons = PolygonMasks([[[10.0, 10.0, 30.0, 10.0, 30.0, 30.0, 10.0, 30.0]]] * count)
        image.gt_masks = BitMasks.from_polygon_masks(polygons, 64, 64) if bitmasks and count else polygons
        image.gt_classes = torch.arange(count) % 3
        image.proposal_boxes = Boxes(torch.tensor([[5.0, 5.0, 35.0, 35.0]] * count).reshape(-1, 4))
        images.append(image)
    return images


@pytest.mark.parametrize("loss", [dice_loss, boundary_loss])
def test_the_right_mask_has_no_loss_and_the_wrong_one_a_large_one(loss):
    """Sure and right is near 0, unsure is worse, sure and wrong is worst."""
    target = disc()
    right, unsure, wrong = ((2 * target - 1) * sureness for sureness in (20.0, 0.0, -20.0))
    values = [loss(logits, target).item() for logits in (right, unsure, wrong)]
    assert values[0] < 0.01
    assert values == sorted(values)
    assert values[2] > 0.9


def test_dice_is_one_minus_the_coefficient():
    """A mask that covers half of its target and nothing else has a dice coefficient of 2/3."""
    target = torch.zeros(1, SIDE, SIDE)
    target[:, :20, :20] = 1
    logits = torch.full_like(target, -50)
    logits[:, :10, :20] = 50
    assert dice_loss(logits, target).item() == pytest.approx(1 / 3, abs=0.002)


def test_dice_weighs_instances_alike():
    """A part of few pixels counts as much as one of many."""
    small, large = torch.zeros(1, SIDE, SIDE), torch.ones(1, SIDE, SIDE)
    small[:, 12:16, 12:16] = 1
    missed = torch.full((1, SIDE, SIDE), -50.0)
    both = dice_loss(torch.cat([missed, missed]), torch.cat([small, large])).item()
    parts = [dice_loss(missed, target).item() for target in (small, large)]
    assert both == pytest.approx(sum(parts) / 2)


def test_an_error_at_the_edge_costs_more_than_one_in_the_middle():
    """The same wrong pixels weigh more near the mask's edge, with the same total weight as plain BCE."""
    target = disc()
    losses = []
    for row in (13, 6):  # the middle and the upper edge of the disc
        logits = (2 * target - 1) * 4
        logits[:, row, 12:16] = -4
        losses.append(boundary_loss(logits, target).item())
    assert losses[1] > 1.5 * losses[0]
    flat = torch.zeros_like(target)
    plain = functional.binary_cross_entropy_with_logits(flat, target)
    assert boundary_loss(flat, target).item() == pytest.approx(plain.item())


def test_the_frame_of_the_box_is_no_edge():
    """A mask that fills its box has no edge in it: every pixel weighs the same."""
    target, logits = torch.ones(1, SIDE, SIDE), torch.randn(1, SIDE, SIDE)
    plain = functional.binary_cross_entropy_with_logits(logits, target)
    assert boundary_loss(logits, target).item() == pytest.approx(plain.item())


def test_cross_entropy_is_detectron2s_to_the_bit():
    """With the default loss the strided head's loss and gradients are the stock head's."""
    results = []
    for name in ("MaskRCNNConvUpsampleHead", "StridedMaskHead"):
        model = head("bce", name=name)
        torch.manual_seed(1)
        with EventStorage():
            loss = model(torch.randn(5, 8, 14, 14), proposals(3, 2))["loss_mask"]
        loss.backward()
        results.append([loss, *(p.grad for p in model.parameters())])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize("bitmasks", [False, True])
@pytest.mark.parametrize("agnostic", [False, True])
@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("loss", ["dice", "boundary"])
def test_every_head_learns_from_every_loss(loss, stride, agnostic, bitmasks):
    """Any stride, any mask format, one mask a class or one for all: a few steps lower the loss."""
    model = head(loss, stride=stride, agnostic=agnostic)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    x, values = torch.randn(3, 8, 14, 14), []
    for _ in range(8):
        optimizer.zero_grad()
        with EventStorage():
            value = model(x, proposals(2, 0, 1, bitmasks=bitmasks))["loss_mask"]
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < values[0]


@pytest.mark.parametrize("loss", ["dice", "boundary"])
def test_a_loss_is_weighted(loss):
    """`loss_weight` is a factor on every loss."""
    values = []
    for weight in (1.0, 2.5):
        model = head(loss)
        model.loss_weight = weight
        torch.manual_seed(1)
        with EventStorage():
            values.append(model(torch.randn(2, 8, 14, 14), proposals(2))["loss_mask"].item())
    assert values[1] == pytest.approx(2.5 * values[0])


@pytest.mark.parametrize("loss", ["bce", "dice", "boundary"])
def test_a_batch_without_foreground_has_no_loss(loss):
    """No proposal holds an object: the loss is 0 and still has a gradient."""
    with EventStorage():
        value = head(loss)(torch.zeros(0, 8, 14, 14), proposals(0, 0))["loss_mask"]
    value.backward()
    assert value.item() == 0


def test_targets_are_what_detectron2_compares_with():
    """Cross-entropy of our targets is Detectron2's own loss."""
    model = head("bce")
    x, images = torch.randn(5, 8, 14, 14), proposals(3, 2)
    with EventStorage():
        expected = model(x, images)["loss_mask"]
    targets = mask_targets(28, images)
    logits = of_classes(model.layers(x), targets.classes)
    assert torch.equal(functional.binary_cross_entropy_with_logits(logits, targets.masks), expected)


def test_an_unknown_loss_is_told():
    """A wrong MODEL.ROI_MASK_HEAD.LOSS names what is allowed."""
    with pytest.raises(ValueError, match="'focal' is not one of bce, dice, boundary"):
        head("focal")
