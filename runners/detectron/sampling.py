"""How often an epoch shows each image: those of rare categories or of small objects more than once."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from runners.detectron.data import DatasetDict

Factors: TypeAlias = npt.NDArray[np.float64]  # (images,), at least 1

_SMALL_PX2 = 32**2  # COCO's bound on small objects, in pixels of the file


def repeat_factors(cfg: Any, records: Sequence[DatasetDict]) -> Factors | None:
    """How often an epoch shows each image on average, or None if each comes once.

    The larger of two factors counts: that of its rarest category, as Detectron2 has it for
    `DATALOADER.SAMPLER_TRAIN: RepeatFactorTrainingSampler`, and that of its small objects.

    Args:
        cfg: A Detectron2 config with masksweep's extra keys; its DATALOADER node is read.
        records: Detectron2 records.
    """
    loader = cfg.DATALOADER
    factors = np.ones(len(records))
    if loader.SAMPLER_TRAIN == "RepeatFactorTrainingSampler" and loader.REPEAT_THRESHOLD > 0:
        factors = np.maximum(factors, rare_factors(records, loader.REPEAT_THRESHOLD))
    if loader.REPEAT_SMALL > 1:
        factors = np.maximum(factors, small_factors(records, loader.REPEAT_SMALL))
    return factors if (factors > 1).any() else None


def rare_factors(records: Sequence[DatasetDict], threshold: float) -> Factors:
    """The largest max(1, sqrt(threshold / share)) among an image's categories.

    A category's share is that of the images that hold it.

    Source: LVIS, arXiv:1908.03195, appendix B; `detectron2/data/samplers/distributed_sampler.py`.
    """
    held = [{item["category_id"] for item in _instances(record)} for record in records]
    counts = Counter(category for categories in held for category in categories)
    factor = {
        category: max(1.0, float(np.sqrt(threshold * len(records) / count)))
        for category, count in counts.items()
    }
    return np.asarray([max((factor[category] for category in some), default=1.0) for some in held])


def small_factors(records: Sequence[DatasetDict], most: float) -> Factors:
    """From 1 for an image without small objects to `most` for one that has nothing else.

    Small is a box of less than 32 x 32 pixels of the file.
    """
    factors = np.ones(len(records))
    for place, record in enumerate(records):
        areas = [item["bbox"][2] * item["bbox"][3] for item in _instances(record)]
        if areas:
            factors[place] += (most - 1) * np.mean(np.asarray(areas) < _SMALL_PX2)
    return factors


def epoch_order(images: int, factors: Factors | None, seed: int, epoch: int) -> list[int]:
    """The images of an epoch in the order in which it shows them.

    Every image comes as often as its factor's whole part says, and once more by the chance of the rest.

    Args:
        images: How many there are.
        factors: How often each comes, on average; None for once.
        seed: 0 to 2**32 - 1.
        epoch: From 0.
    """
    # RandomState and not Generator: only the legacy streams are frozen across numpy releases.
    random = np.random.RandomState([seed, epoch])
    if factors is None:
        return [int(index) for index in random.permutation(images)]
    whole = np.floor(factors)
    times = whole + (random.random_sample(images) < factors - whole)
    return [int(index) for index in random.permutation(np.repeat(np.arange(images), times.astype(np.int64)))]


def _instances(record: DatasetDict) -> list[dict[str, Any]]:
    return [item for item in record["annotations"] if not item.get("iscrowd", 0)]
