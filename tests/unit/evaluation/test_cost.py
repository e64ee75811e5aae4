import warnings

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from runners.detectron.config import build_config
from runners.detectron.model import build_model
from runners.evaluation.cost import CostMeter, TensorMemory
from sweeps.testing import make_spec

KB = 250  # float32 in 1000 bytes


def test_memory_goes_up_and_down_with_tensors():
    """The peak is what was alive at once: views cost nothing, and what is freed is taken off."""
    with TensorMemory() as tensors:
        first = torch.zeros(10 * KB)
        view = first.view(10, KB)[2:]
        second = torch.ones(30 * KB)
        assert (tensors.now, tensors.peak) == (40_000, 40_000)
        del first, second
        assert tensors.now == 10_000  # the view still holds it
        del view
        assert (tensors.now, tensors.peak) == (0, 40_000)
        kept = [torch.zeros(KB) for _ in range(3)]
        assert tensors.now == 3_000
    assert tensors.peak == 40_000
    assert len(kept) == 3


def test_what_was_there_before_is_not_counted():
    """Weights and inputs, and views and changes in place of them, are nobody's growth."""
    weight = torch.zeros(100 * KB)
    with TensorMemory() as tensors:
        weight.add_(1)
        half = weight[: 50 * KB]
        torch.cat([half, half])
    assert (tensors.now, tensors.peak) == (0, 100_000)


def test_the_peak_of_a_detector_is_that_of_its_allocator():
    """On a Mask R-CNN the count agrees with what the profiler sees torch allocate, and always is the same."""
    torch.manual_seed(0)
    cfg = build_config(
        make_spec(inference={"score_threshold": 0.01}),
        {},
        seed=0,
        output_dir="unused",
        num_classes=3,
        device="cpu",
    )
    model = build_model(cfg).eval()
    batch = [{"image": torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8), "height": 64, "width": 64}]
    peaks = []
    with torch.inference_mode():
        model.inference(batch)
        for _ in range(2):
            with TensorMemory() as tensors:
                model.inference(batch)
            peaks.append(tensors.peak)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
                model.inference(batch)
    now = peak = 0
    events = [e for e in profiled.profiler.kineto_results.events() if e.name() == "[memory]"]
    for event in sorted(events, key=lambda e: e.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    assert peaks[0] == peaks[1] > 0
    assert peaks[0] == pytest.approx(peak, rel=0.02)


def test_parameters_are_counted_in_millions_frozen_and_shared_ones_once():
    """A frozen layer counts, a tied weight does not count twice, buffers are no parameters."""
    model = nn.Sequential(nn.Linear(100, 100, bias=False), nn.Linear(100, 100, bias=False), nn.BatchNorm1d(4))
    model[1].weight = model[0].weight
    model[2].requires_grad_(False)
    assert CostMeter(model).metrics() == {"model/parameters": 0.010008}


def test_memory_is_the_weights_and_what_comes_on_top():
    """In MB; of two measurements the higher one."""
    model = nn.Linear(100, 100, bias=False)
    meter = CostMeter(model)
    for rows in (10, 1000, 20):
        with meter.memory(), torch.inference_mode():
            model(torch.zeros(rows, 100))
    assert meter.metrics()["memory/peak_mb"] == (40_000 + 2 * 400_000) / 1_000_000


def test_latency_leaves_out_the_cold_batch():
    """Median and 90th percentile are over the images of the other batches, each with its share."""
    meter = CostMeter(nn.Linear(1, 1))
    meter._batches = [(9.0, 4)]
    assert meter.metrics()["latency/ms_per_image"] == 2250.0
    meter._batches += [(0.08, 8), (0.1, 1), (0.024, 1)]
    metrics = meter.metrics()
    assert metrics["latency/ms_per_image"] == pytest.approx(10.0)
    assert metrics["latency/ms_per_image_p90"] == pytest.approx(24 + 0.1 * 76)
    with meter.batch(2):
        pass
    assert meter._batches[-1][1] == 2
