"""The cost of preparing a training sample against Detectron2's own mapper, on decoded images."""

import statistics
import time

from detectron2.data import DatasetMapper

from runners.detectron.config import masksweep_cfg
from runners.detectron.data import dataset_dicts, register
from runners.detectron.mapper import TrainMapper
from sweeps.core.spec import parse_spec


def seconds(samples):
    """CPU seconds to prepare all samples."""
    began = time.process_time()
    for sample in samples:
        sample()
    return time.process_time() - began


def test_a_sample_costs_no_more_than_with_the_stock_mapper(parts):
    """Both mappers in turn over the same records; the stock one reads and decodes the image each time."""
    cfg = masksweep_cfg()
    cfg.INPUT.MASK_FORMAT, cfg.INPUT.RANDOM_FLIP = "bitmask", "horizontal"
    records = dataset_dicts(register(parse_spec((parts / "spec.yaml").read_text(), parts)).train)
    stock, ours = DatasetMapper(cfg, is_train=True), TrainMapper(cfg, seed=0)
    ratios = []
    for _ in range(9):
        mine = seconds([lambda record=record, at=at: ours(record, at) for at, record in enumerate(records)])
        theirs = seconds([lambda record=record: stock(record) for record in records])
        ratios.append(mine / theirs)
    ratio = statistics.median(ratios[1:])
    print(
        f"\na training sample against DatasetMapper: ratio {ratio:.2f} (at most 1), {len(ratios) - 1} pairs"
    )
    assert ratio <= 1
