"""How often an epoch shows an image."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from detectron2.data.samplers import RepeatFactorTrainingSampler

from runners.detectron.config import masksweep_cfg
from runners.detectron.sampling import epoch_order, rare_factors, repeat_factors, small_factors


def image(*categories: int, side: float = 50.0, crowds: int = 0) -> dict[str, Any]:
    items = [{"category_id": k, "bbox": [0, 0, side, side], "iscrowd": 0} for k in categories]
    return {"annotations": [*items, *([{"category_id": 9, "bbox": [0, 0, 1, 1], "iscrowd": 1}] * crowds)]}


IMAGES = [*[image(0)] * 15, image(0, 1), image(0, 1, 1), image(2), image(), image(1, 0, crowds=1)]


def cfg_of(**keys: Any) -> Any:
    cfg = masksweep_cfg()
    for key, value in keys.items():
        cfg.DATALOADER[key] = value
    return cfg


@pytest.mark.parametrize("threshold", [0.001, 0.1, 0.5, 1.0])
def test_rare_categories_repeat_as_in_detectron2(threshold: float) -> None:
    """The factors are those of RepeatFactorTrainingSampler, for images with at least one instance."""
    some = [record for record in IMAGES if record["annotations"] and record is not IMAGES[-1]]
    expected = RepeatFactorTrainingSampler.repeat_factors_from_category_frequency(some, threshold)
    torch.testing.assert_close(torch.from_numpy(rare_factors(some, threshold)).float(), expected)


def test_crowds_and_empty_images_repeat_nothing() -> None:
    """A crowd region is no instance of its category; an image without instances comes once."""
    factors = rare_factors(IMAGES, 0.5)
    assert factors[-2] == 1
    assert factors[-1] == pytest.approx(np.sqrt(0.5 * 20 / 3))


def test_small_objects_repeat_in_proportion() -> None:
    """Nothing small: once; all small: the full factor; a third of them: a third of the way."""
    mixed = image(0, 0)
    mixed["annotations"] += image(0, side=31.9)["annotations"]
    factors = small_factors([image(0, 1), image(0, side=20), mixed, image()], 4.0)
    assert factors.tolist() == [1, 4, 2, 1]


def test_the_larger_factor_counts_and_none_is_none() -> None:
    """Both ways of repeating go together; without either the stream is the plain one."""
    records = [*[image(0)] * 9, image(1, side=10)]
    sampler = {"SAMPLER_TRAIN": "RepeatFactorTrainingSampler", "REPEAT_THRESHOLD": 0.4}
    assert repeat_factors(cfg_of(), records) is None
    assert repeat_factors(cfg_of(REPEAT_THRESHOLD=0.4), records) is None  # as Detectron2: the sampler decides
    assert repeat_factors(cfg_of(REPEAT_SMALL=5.0), records[:9]) is None
    for small, expected in ((1.0, 2.0), (1.5, 2.0), (3.0, 3.0)):
        factors = repeat_factors(cfg_of(REPEAT_SMALL=small, **sampler), records)
        assert factors is not None
        assert factors.tolist() == [1.0] * 9 + [expected]


def test_an_epoch_shows_each_image_as_often_as_its_factor() -> None:
    """Whole parts always, the rest by chance, every image at least once."""
    factors = np.array([1.0, 1.3, 2.0, 2.75])
    shown: Counter[int] = Counter()
    for epoch in range(400):
        order = Counter(epoch_order(4, factors, 5, epoch))
        assert order[0] == 1
        assert order[2] == 2
        assert order[1] in (1, 2)
        assert order[3] in (2, 3)
        shown += order
    assert shown[1] / 400 == pytest.approx(1.3, abs=0.07)
    assert shown[3] / 400 == pytest.approx(2.75, abs=0.07)


def test_an_epoch_depends_on_seed_and_number_alone() -> None:
    """Each epoch is drawn anew, and the same again for the same seed."""
    factors = np.full(6, 1.5)
    assert epoch_order(6, factors, 1, 4) == epoch_order(6, factors, 1, 4)
    orders = [tuple(epoch_order(6, factors, seed, epoch)) for seed in (1, 2) for epoch in range(4)]
    assert len(set(orders)) == 8
