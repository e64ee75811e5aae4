import hotcoco.mask
import numpy as np
import pytest
import torch

from runners.detectron.config import build_config
from runners.detectron.model import build_model
from runners.evaluation.predictions import predict
from sweeps.testing import make_spec


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


def inputs(*sizes: tuple[int, int]):
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


def test_batches_give_what_single_images_give(model):
    """Images of several sizes come back in order, each as if it had been alone."""
    images = inputs((64, 64), (64, 64), (64, 96), (64, 64), (96, 64), (96, 64), (96, 64))
    alone = predict(model, images, batch_size=1).detections
    together = predict(model, images, batch_size=2).detections
    assert [item.image_id for item in together] == [1, 2, 3, 4, 5, 6, 7]
    assert sum(len(item.scores) for item in together) > 20
    for expected, actual in zip(alone, together, strict=True):
        np.testing.assert_allclose(actual.boxes, expected.boxes, atol=1e-3)
        np.testing.assert_allclose(actual.scores, expected.scores, atol=1e-5)
        assert actual.classes.tolist() == expected.classes.tolist()
        assert [mask["size"] for mask in actual.masks] == [mask["size"] for mask in expected.masks]


def test_the_model_is_left_in_the_mode_it_was_in(model):
    """An evaluation in mid-training changes neither mode nor running statistics."""
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    predictions = predict(model, inputs((64, 64)))
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert predictions.cost["latency/ms_per_image"] > 0


def test_a_higher_mask_threshold_gives_smaller_masks(model):
    """The threshold is applied to the soft masks: at 0.99 no pixel of an untrained model is left."""
    areas = [
        sum(
            hotcoco.mask.area(mask)
            for item in predict(model, inputs((64, 64)), mask_threshold=threshold).detections
            for mask in item.masks
        )
        for threshold in (0.01, 0.99)
    ]
    assert areas[0] > 0
    assert areas[1] == 0


def test_memory_is_that_of_one_image(model):
    """It does not depend on how many images there are, and grows with the image."""
    one, many = (predict(model, inputs(*[(64, 64)] * n)).cost["memory/peak_mb"] for n in (1, 5))
    assert many == one
    assert predict(model, inputs((128, 128))).cost["memory/peak_mb"] > one


def test_no_images_are_no_measurement(model):
    """Nothing in, nothing out, and no cost but the parameters."""
    predictions = predict(model, [])
    assert (list(predictions.detections), set(predictions.cost)) == ([], {"model/parameters"})
