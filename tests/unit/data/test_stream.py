"""The training stream."""

import shutil
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch

from runners.detectron.config import build_config, masksweep_cfg
from runners.detectron.data import dataset_dicts, register
from runners.detectron.mapper import TrainMapper
from runners.detectron.stream import index_batches, train_loader
from sweeps.core.spec import parse_spec


@pytest.fixture(scope="module")
def records(parts: Path) -> list[dict[str, Any]]:
    """The training half of the synthetic set."""
    return dataset_dicts(register(parse_spec((parts / "spec.yaml").read_text(), parts)).train)


def batches(
    records: list[Any], count: int, *, start: int = 0, seed: int = 2, size: int = 4, **keys: Any
) -> list[Any]:
    cfg = masksweep_cfg()
    cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.CROP.ENABLED = (96, 128), True
    cfg.INPUT.BRIGHTNESS, cfg.DATALOADER.NUM_WORKERS = 0.3, 0
    for key, value in keys.items():
        cfg.DATALOADER[key] = value
    cfg.INPUT.COPY_PASTE, cfg.INPUT.ROTATION = 0.5, 20.0
    mapper = TrainMapper(cfg, seed=seed, donors=records)
    loader = train_loader(cfg, records, mapper, seed=seed, start_iteration=start, batch_size=size)
    return list(islice(loader, count))


def same(a: list[Any], b: list[Any]) -> bool:
    flat_a, flat_b = ([sample for batch in run for sample in batch] for run in (a, b))
    return len(flat_a) == len(flat_b) and all(
        x["image_id"] == y["image_id"]
        and torch.equal(x["image"], y["image"])
        and torch.equal(x["instances"].gt_boxes.tensor, y["instances"].gt_boxes.tensor)
        and torch.equal(x["instances"].gt_classes, y["instances"].gt_classes)
        for x, y in zip(flat_a, flat_b, strict=True)
    )


def image_ids(run: list[Any]) -> list[int]:
    return [sample["image_id"] for batch in run for sample in batch]


def test_resuming_goes_on_with_the_same_batches(records: list[Any]) -> None:
    """A loader started at batch k gives what the straight run gives from there on, across epochs."""
    straight = batches(records, 16)
    for start in (1, 6, 13):
        assert same(batches(records, 16 - start, start=start), straight[start:])


def test_another_seed_is_another_stream(records: list[Any]) -> None:
    """Order and augmentation both follow the seed."""
    assert image_ids(batches(records, 6, seed=2)) != image_ids(batches(records, 6, seed=3))


def repeating(records: list[Any], count: int, **keys: Any) -> list[Any]:
    sampling = {"SAMPLER_TRAIN": "RepeatFactorTrainingSampler", "REPEAT_THRESHOLD": 0.9, "REPEAT_SMALL": 2.5}
    return batches(records, count, **sampling, **keys)


def test_resuming_goes_on_with_the_same_repeated_images(records: list[Any]) -> None:
    """Repeats are drawn anew each epoch, by the epoch's number alone; loader processes change nothing."""
    straight = repeating(records, 20)
    assert same(repeating(records, 13, start=7), straight[7:])
    assert same(repeating(records, 13, start=7, NUM_WORKERS=1), straight[7:])
    assert image_ids(straight) != image_ids(batches(records, 20))


def test_any_number_of_processes_gives_the_same_batches(records: list[Any]) -> None:
    """Loader processes change nothing, bit for bit, and take no number from torch's generator."""
    alone = batches(records, 7, start=3)
    state = torch.get_rng_state()
    for workers in (1, 2):
        assert same(batches(records, 7, start=3, NUM_WORKERS=workers), alone)
    assert torch.equal(torch.get_rng_state(), state)


def test_loader_processes_decode_nothing_that_an_earlier_trial_did(parts: Path, tmp_path: Path) -> None:
    """With a GPU's config, the next trial of a worker gets its batches without the image files."""
    shutil.copytree(parts, tmp_path / "parts")
    spec = parse_spec((parts / "spec.yaml").read_text(), tmp_path / "parts")
    records = dataset_dicts(register(spec).train)
    cfg = build_config(spec, {}, seed=1, output_dir="", num_classes=3, device="cuda")
    assert cfg.DATALOADER.NUM_WORKERS == 2

    def trial(seed: int) -> list[Any]:
        mapper = TrainMapper(cfg, seed=seed)
        loader = train_loader(cfg, records, mapper, seed=seed, start_iteration=0, batch_size=4)
        return list(islice(loader, 6))

    trial(1)
    shutil.rmtree(tmp_path / "parts" / "images")
    assert len(set(image_ids(trial(2)))) == 24


def test_every_epoch_shows_every_image_once(records: list[Any]) -> None:
    """Images come as one permutation after the other."""
    seen = Counter(image_ids(batches(records, 12)))  # 24 images, twice
    assert seen == {record["image_id"]: 2 for record in records}


def test_fewer_images_than_a_batch(records: list[Any]) -> None:
    """A batch may show an image more than once, augmented differently."""
    run = batches(records[:3], 2, size=8)
    assert [len(batch) for batch in run] == [8, 8]
    assert set(image_ids(run)) == {record["image_id"] for record in records[:3]}


def test_images_without_instances_are_left_out_on_request(records: list[Any]) -> None:
    """FILTER_EMPTY_ANNOTATIONS decides on images with nothing, or nothing but crowd regions."""
    crowd = {**records[1], "annotations": [{**records[1]["annotations"][0], "iscrowd": 1}]}
    some = [records[0], crowd, {**records[2], "annotations": []}]
    assert set(image_ids(batches(some, 3))) == {records[0]["image_id"]}
    every = {record["image_id"] for record in some}
    assert set(image_ids(batches(some, 3, FILTER_EMPTY_ANNOTATIONS=False))) == every
    with pytest.raises(ValueError, match="no image with an annotation to"):  # train on, or copy from
        batches(some[1:], 1)


def test_wide_and_tall_images_share_no_batch() -> None:
    """With grouping each batch is of one kind, and no image is lost for long."""
    wide = [index % 3 == 0 for index in range(30)]
    plan = list(islice(index_batches(wide, 4, seed=0), 75))
    assert all(len({wide[index] for index in indices}) == 1 for _, indices in plan)
    assert [position for position, _ in plan] == [4 * number for number in range(75)]
    shown = Counter(index for _, indices in plan for index in indices)
    assert set(shown.values()) <= {9, 10, 11}


def test_the_order_is_pinned() -> None:
    """The stream of a seed is part of what makes old checkpoints resumable: it must not drift."""
    assert list(islice(index_batches([False] * 6, 4, seed=1), 3)) == [
        (0, (1, 4, 0, 3)),
        (4, (2, 5, 3, 2)),
        (8, (0, 1, 4, 5)),
    ]
