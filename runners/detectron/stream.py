"""The training stream: batch k is a pure function of (seed, k): a resumed trial goes on as if unstopped."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import torch
from torch.utils.data import DataLoader, Dataset

from runners.detectron.data import IMAGES, DatasetDict, ImageCache
from runners.detectron.sampling import Factors, epoch_order, repeat_factors


class SampleMapper(Protocol):
    """Makes one training sample; random only in (its own seed, position)."""

    def __call__(self, record: DatasetDict, position: int) -> DatasetDict:
        """The sample at `position` of the stream; the record stays as it is."""


def train_loader(
    cfg: Any,
    dataset_dicts: Sequence[DatasetDict],
    mapper: SampleMapper,
    *,
    seed: int,
    start_iteration: int,
    batch_size: int,
    images: ImageCache = IMAGES,
) -> Iterator[list[DatasetDict]]:
    """Yields batches without end, from the one that belongs to `start_iteration`.

    Each epoch is a permutation of the images, in which some come more than once if `repeat_factors` says so;
    with `DATALOADER.ASPECT_RATIO_GROUPING` wide and tall images never share a batch, as in Detectron2's
    AspectRatioGroupedDataset. With `DATALOADER.NUM_WORKERS` above 0 other processes prepare the same batches,
    bit for bit, from images that are decoded once for all trials of this process.

    Args:
        cfg: A Detectron2 config; its DATALOADER node and its image format are read.
        dataset_dicts: Detectron2 records; those without any non-crowd annotation are left out if
            `DATALOADER.FILTER_EMPTY_ANNOTATIONS`.
        mapper: Gets a record and the sample's position, iteration * batch_size + place in the batch.
        seed: 0 to 2**32 - 1.
        start_iteration: Batches to skip; they are replayed on indices only, without decoding.
        batch_size: Images a batch; may exceed the number of images.
        images: Where the mapper's decoded images are kept; the process's own cache by default.

    Raises:
        ValueError: No image is left to train on.
    """
    records = list(dataset_dicts)
    if cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS:
        records = [record for record in records if has_instances(record)]
    if not records:
        raise ValueError("no image with an annotation to train on")
    grouping = bool(cfg.DATALOADER.ASPECT_RATIO_GROUPING)
    wide = [grouping and record["width"] > record["height"] for record in records]
    factors = repeat_factors(cfg, records)
    plan = index_batches(wide, batch_size, seed=seed, start=start_iteration, factors=factors)
    batches = _Batches(records, mapper)
    workers = int(cfg.DATALOADER.NUM_WORKERS)
    if workers == 0:
        return (batches[item] for item in plan)
    # These processes live as long as the trial: what they decode themselves is lost with them.
    images.fill((record["file_name"] for record in records), cfg.INPUT.FORMAT)
    return iter(
        DataLoader(
            batches,
            batch_size=None,  # a sample of the loader is a whole batch: the loader keeps their order
            sampler=plan,  # any iterable of indices will do
            num_workers=workers,
            multiprocessing_context="fork",  # they have this process's decoded images, and none copies them
            collate_fn=_same,
            generator=torch.Generator(),  # or it draws from the one that training draws from
        )
    )


def has_instances(record: DatasetDict) -> bool:
    """Whether the record has an annotation that is not a crowd region."""
    return any(not annotation.get("iscrowd", 0) for annotation in record["annotations"])


def index_batches(
    wide: Sequence[bool],
    batch_size: int,
    *,
    seed: int,
    start: int = 0,
    factors: Factors | None = None,
) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Yields (position of the batch's first sample, indices of its images) without end.

    Args:
        wide: For each image, which of the two groups it belongs to.
        batch_size: At least 1.
        seed: 0 to 2**32 - 1.
        start: Batches to leave out at the front.
        factors: How often an epoch shows each image, on average; None for once.
    """
    buckets: dict[bool, list[int]] = {False: [], True: []}
    number = 0
    epoch = 0
    while True:
        for index in epoch_order(len(wide), factors, seed, epoch):
            bucket = buckets[wide[index]]
            bucket.append(index)
            if len(bucket) == batch_size:
                if number >= start:
                    yield number * batch_size, tuple(bucket)
                bucket.clear()
                number += 1
        epoch += 1


class _Batches(Dataset[list[DatasetDict]]):
    def __init__(self, records: list[DatasetDict], mapper: SampleMapper) -> None:
        self._records = records
        self._mapper = mapper

    def __getitem__(self, item: tuple[int, tuple[int, ...]]) -> list[DatasetDict]:
        position, indices = item
        return [self._mapper(self._records[index], position + place) for place, index in enumerate(indices)]


def _same(batch: list[DatasetDict]) -> list[DatasetDict]:
    return batch
