"""What a grid of inference settings costs beside one plain pass. Run by `make bench`, not by the tests."""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runners.synthetic import write_dataset

ROOT = Path(__file__).parents[2]
ITERATIONS = 120
MASKS = [i / 10 for i in range(1, 10)]
SCORES = [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
NMS = [0.3, 0.5, 0.7]
COMBINATIONS = len(MASKS) * len(SCORES) * len(NMS)
IMAGES = 1000
MEMORY = """
import json, resource, sys
from pathlib import Path
from tests.benchmarks.bench_settings_grid import evaluated, grid_of, repeated, trained
directory, which = Path(sys.argv[1]), sys.argv[2]
model, cfg, data = trained(directory, iterations=0, weights=directory / "model.pth")
truth, inputs = repeated(data, cfg, int(sys.argv[3]))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
evaluated(model, truth, inputs, grid_of(cfg, single=which == "plain"))
print(json.dumps([before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]))
"""


def trained(directory, *, iterations, weights=None):
    """The tiny model on the embedded set, its config and the registered data."""
    import torch

    from runners.detectron.config import build_config
    from runners.detectron.data import dataset_dicts, register
    from runners.detectron.mapper import TrainMapper
    from runners.detectron.model import build_model
    from runners.detectron.stream import train_loader
    from runners.detectron.trainer import Trainer, seed_everything
    from sweeps.core.spec import parse_spec

    torch.set_num_threads(1)
    spec = parse_spec((directory / "spec.yaml").read_text(), directory)
    data = register(spec)
    seed_everything(0)
    cfg = build_config(
        spec, {}, seed=0, output_dir=str(directory), num_classes=data.num_classes, device="cpu", data=data
    )
    model = build_model(cfg)
    if weights is not None:
        model.load_state_dict(torch.load(weights, weights_only=True))
    if iterations:
        trainer = Trainer(cfg, model, curve_every=20, pause_file=str(directory / "pause"))
        records, mapper = dataset_dicts(data.train), TrainMapper(cfg, seed=0)
        trainer.feed(train_loader(cfg, records, mapper, seed=0, start_iteration=0, batch_size=4))
        trainer.train(iterations, deadline=float("inf"))
    return model.eval(), cfg, data


def grid_of(cfg, *, single):
    """The grid, or the config's own settings alone."""
    from sweeps.core.inference import InferenceSettings, SettingsGrid

    heads, limit = cfg.MODEL.ROI_HEADS, cfg.TEST.DETECTIONS_PER_IMAGE
    default = InferenceSettings(0.5, heads.SCORE_THRESH_TEST, heads.NMS_THRESH_TEST, limit)
    if single:
        return SettingsGrid.single(default)
    return SettingsGrid(tuple(MASKS), tuple(SCORES), tuple(NMS), (limit,), default)


def repeated(data, cfg, images):
    """The validation set over and over under new ids: (truth, inputs made one by one)."""
    from detectron2.data import MetadataCatalog

    from runners.detectron.data import dataset_dicts
    from runners.detectron.mapper import TestMapper
    from runners.evaluation.truth import ground_truth

    document = json.loads(Path(MetadataCatalog.get(data.val).json_file).read_text())
    records, mapper, count = dataset_dicts(data.val), TestMapper(cfg), len(document["images"])
    copies = [(n, n // count) for n in range(images)]
    by_image = {}
    for annotation in document["annotations"]:
        by_image.setdefault(annotation["image_id"], []).append(annotation)
    many = {
        "images": [{**document["images"][n % count], "id": n + 1} for n, _ in copies],
        "annotations": [
            {**annotation, "image_id": n + 1}
            for n, _ in copies
            for annotation in by_image.get(document["images"][n % count]["id"], [])
        ],
        "categories": document["categories"],
    }
    place = {record["image_id"]: record for record in records}
    inputs = ({**mapper(place[document["images"][n % count]["id"]]), "image_id": n + 1} for n, _ in copies)
    return ground_truth(many), inputs


def evaluated(model, truth, inputs, grid):
    """Everything that a rung measures."""
    from runners.evaluation.evaluate import ValidationSet, evaluate

    return evaluate(model, ValidationSet(truth, inputs), grid)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    import torch

    directory = tmp_path_factory.mktemp("data")
    write_dataset(directory)
    model, cfg, data = trained(directory, iterations=ITERATIONS)
    torch.save(model.state_dict(), directory / "model.pth")
    return directory, model, cfg, data


def test_a_grid_costs_a_hundredth_of_as_many_passes(place):
    """CPU time of a whole evaluation of 9 x 9 x 3 settings against one of one setting, in turn."""
    _, model, cfg, data = place
    truth, inputs = repeated(data, cfg, 60)
    inputs = list(inputs)
    evaluated(model, truth, inputs, grid_of(cfg, single=True))  # what a data set needs once
    plain, grid = [], []
    for _ in range(int(os.environ.get("BENCH_PAIRS", "3"))):
        for single, times in ((True, plain), (False, grid)):
            began = time.process_time()
            evaluated(model, truth, inputs, grid_of(cfg, single=single))
            times.append(time.process_time() - began)
    ratio = statistics.median(g / p for g, p in zip(grid, plain, strict=True))
    print(
        f"\n{COMBINATIONS} settings against one: ratio {ratio:.2f} (at most 3), "
        f"{ratio / COMBINATIONS:.5f} of {COMBINATIONS} passes (at most 0.01); grid "
        f"{statistics.median(grid):.2f} s, plain {statistics.median(plain):.2f} s of CPU, {len(grid)} pairs"
    )
    assert ratio <= 3
    assert ratio <= COMBINATIONS / 100


def test_a_grid_needs_less_than_twice_the_memory(place):
    """Peak resident memory of a process that evaluates 1000 images, at a grid and at one setting."""
    directory, *_ = place
    peaks = {}
    for which in ("plain", "grid"):
        done = subprocess.run(
            [sys.executable, "-c", MEMORY, str(directory), which, str(IMAGES)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        peaks[which] = [kb / 1024 for kb in json.loads(done.stdout)]
    ratio = peaks["grid"][1] / peaks["plain"][1]
    growth = {which: after - before for which, (before, after) in peaks.items()}
    print(
        f"\npeak memory at {IMAGES} images: ratio {ratio:.2f} (at most 2); grid {peaks['grid'][1]:.0f} MB, "
        f"plain {peaks['plain'][1]:.0f} MB; grown by {growth['grid']:.0f} and {growth['plain']:.0f} MB"
    )
    assert ratio < 2
