"""What a trial leaves behind is read, and judged alike, by stock Detectron2."""

import contextlib
import io
import math
from pathlib import Path

import pytest
import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.data import build_detection_test_loader
from detectron2.evaluation import COCOEvaluator, inference_on_dataset
from detectron2.modeling import build_model

from runners.detectron.config import masksweep_cfg
from runners.detectron.data import register
from runners.detectron.worker import DetectronWorker
from sweeps.core.trial import Assignment
from sweeps.testing import make_spec

pytestmark = pytest.mark.slow  # trains a model


@pytest.fixture(scope="module")
def trained(parts, tmp_path_factory):
    """The spec and the last report of a trial that has learned something."""
    directory = tmp_path_factory.mktemp("trial")
    half = {"images": str(parts / "images")}
    spec = make_spec(
        dataset={name: {**half, "annotations": str(parts / f"{name}.json")} for name in ("train", "val")},
        fidelity={"iterations": 40, "rungs": [40]},
    )
    worker = DetectronWorker(spec, device="cpu")
    params = {"mask_head.upsample_stride": 2, "solver.base_lr": 0.002}
    worker.start(
        Assignment("s", 0, 1, 1, params, 3, (40,), None, 0, str(directory), str(directory / "pause"))
    )
    report = worker.step()
    assert report.failure is None
    return spec, report


def test_stock_detectron2_measures_the_same_ap(trained):
    """Detectron2's own loader, evaluator and checkpointer get our metrics from our checkpoint."""
    spec, report = trained
    checkpoint = Path(report.checkpoint)
    cfg = masksweep_cfg()
    cfg.merge_from_file(str(checkpoint / "config.yaml"), allow_unsafe=False)
    assert cfg.MODEL.ROI_MASK_HEAD.NAME == "MaskRCNNConvUpsampleHead"
    model = build_model(cfg)
    DetectionCheckpointer(model, save_to_disk=False).load(str(checkpoint / "model.pth"))
    val = register(spec).val
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator = COCOEvaluator(val, tasks=("segm", "bbox"), distributed=False)
        loader = build_detection_test_loader(cfg, val, num_workers=0)
        results = inference_on_dataset(model, loader, evaluator)
    stock = {f"{kind}/{name}": value for kind, values in results.items() for name, value in values.items()}
    assert report.metrics["segm/AP"] > 1
    expected = {name: value for name, value in stock.items() if not math.isnan(value)}
    assert {name: report.metrics[name] for name in expected} == pytest.approx(expected, abs=0.05)
    ours = {name for name in report.metrics if name.split("-")[0] in {name.split("-")[0] for name in stock}}
    assert ours == set(expected)


def test_a_trial_can_start_from_another_trials_checkpoint(trained, tmp_path):
    """Weights that do not fit the searched head are left out and named; the rest is loaded."""
    spec, report = trained
    weights = str(Path(report.checkpoint) / "model.pth")
    spec = spec.model_copy(update={"base": spec.base.model_copy(update={"weights": weights})})
    worker = DetectronWorker(spec, device="cpu")
    params = {"mask_head.upsample_stride": 4}
    worker.start(Assignment("s", 1, 1, 1, params, 3, (1,), None, 0, str(tmp_path), str(tmp_path / "pause")))
    assert worker.step().facts.skipped_weights == ("roi_heads.mask_head.deconv.weight",)


def test_a_checkpoint_holds_arrays_and_plain_values_only(trained):
    """Every file of it loads with code execution switched off."""
    _, report = trained
    for name in ("model.pth", "training.pth"):
        assert torch.load(Path(report.checkpoint) / name, weights_only=True)
