"""Real Detectron2 training in a worker: exact resume, what stays warm, and how failures are told apart."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from runners.detectron.checkpoint import read_files
from runners.detectron.worker import DetectronWorker
from runners.evaluation.inference_pass import BATCH_SIZE
from runners.stall import moves
from sweeps.core.trial import Assignment, FailureKind, FellBack
from sweeps.testing import make_spec

pytestmark = pytest.mark.slow  # trains models

PARAMS = {
    "mask_head.upsample_stride": 4,
    "mask_head.conv_dim": 32,
    "solver.base_lr": 0.001,
    "augment.flip": "horizontal",
    "augment.brightness": 0.2,
    "augment.crop": 0.9,
    "augment.scale_jitter": 0.2,
}


def dataset(directory):
    half = {"images": str(directory / "images")}
    return {name: {**half, "annotations": str(directory / f"{name}.json")} for name in ("train", "val")}


@pytest.fixture
def place(tmp_path, parts):
    """Makes workers and assignments of one sweep."""

    def worker(data=parts, checkpoint_s=1e9, **sections):
        spec = make_spec(
            dataset=dataset(data), **{"fidelity": {"iterations": 6, "rungs": [2, 6]}, **sections}
        )
        return DetectronWorker(spec, checkpoint_s=checkpoint_s, curve_every=1, device="cpu")

    def assignment(name="0", params=PARAMS, **fields):
        given = {
            "attempt": 1,
            "epoch": 1,
            "checkpoint": None,
            "iteration": 0,
            "seed": 3,
            "rungs": (2, 6),
            **fields,
        }
        directory, pause_file = str(tmp_path / name), str(tmp_path / "pause")
        return Assignment("s", 0, params=params, directory=directory, pause_file=pause_file, **given)

    return SimpleNamespace(worker=worker, assignment=assignment, pause_file=tmp_path / "pause")


def run(worker, assignment):
    """All reports of an attempt."""
    worker.start(assignment)
    reports = [worker.step()]
    while not (reports[-1].failure or reports[-1].paused or reports[-1].iteration >= assignment.rungs[-1]):
        reports.append(worker.step())
    return reports


def scores(report):
    return {name: value for name, value in report.metrics.items() if not name.startswith("latency/")}


def weights(report):
    return read_files(Path(report.checkpoint)).model


def losses(reports):
    return [(p.iteration, p.values["total_loss"]) for report in reports for p in report.curve]


STRONG = {
    "mask_head.loss": "boundary",
    "mask_head.mask_iou": True,
    "anchors.preset": "fitted",
    "solver.base_lr": 0.001,
    "augment.rotation": 30.0,
    "augment.large_scale_jitter": True,
    "augment.copy_paste": 0.7,
    "augment.copy_paste_small_bias": 0.5,
    "sampling.repeat_rare": 0.9,
    "sampling.repeat_small": 2.5,
}
POINTREND = {"mask_head.name": "pointrend", "point_head.subdivision_steps": 2, "augment.copy_paste": 0.5}


@pytest.mark.parametrize("params", [PARAMS, STRONG, POINTREND], ids=["plain", "strong", "pointrend"])
def test_a_resumed_attempt_is_bit_identical_to_an_undisturbed_one(place, params):
    """Killed at any iteration and resumed in another worker: same losses, same weights, same AP."""
    straight = run(place.worker(), place.assignment("straight", params))
    broken = place.worker(checkpoint_s=0.0)  # a checkpoint at every iteration
    broken.start(place.assignment("broken", params))
    reports = [broken.step() for _ in range(3)]
    assert [r.iteration for r in reports] == [1, 2, 3]
    torch.manual_seed(99)
    np.random.seed(99)
    resumed = run(
        place.worker(),
        place.assignment(
            "broken", params, attempt=2, epoch=2, checkpoint=reports[-1].checkpoint, iteration=3
        ),
    )
    assert losses([*reports, *resumed]) == losses(straight)
    assert scores(resumed[-1]) == scores(straight[-1])
    expected, got = weights(straight[-1]), weights(resumed[-1])
    assert expected.keys() == got.keys()
    assert all(torch.equal(expected[key], got[key]) for key in expected)


def test_a_damaged_checkpoint_costs_the_way_from_the_one_before(place):
    """One flipped bit in the newest: the attempt goes on from the one before, with the same result."""
    straight = run(place.worker(), place.assignment("straight"))
    broken = place.worker(checkpoint_s=0.0)
    broken.start(place.assignment("broken"))
    reports = [broken.step() for _ in range(3)]
    newest = Path(reports[-1].checkpoint)
    content = bytearray((newest / "model.pth").read_bytes())
    content[len(content) // 2] ^= 1
    (newest / "model.pth").write_bytes(content)
    again = place.assignment("broken", attempt=2, epoch=2, checkpoint=str(newest), iteration=3)
    resumed = run(place.worker(), again)
    assert resumed[0].fell_back == FellBack(2, f"{newest}: model.pth is damaged")
    assert [report.fell_back for report in resumed[1:]] == [None] * (len(resumed) - 1)
    assert losses([*reports[:2], *resumed]) == losses(straight)
    expected, got = weights(straight[-1]), weights(resumed[-1])
    assert all(torch.equal(expected[key], got[key]) for key in expected)


def test_a_trial_does_not_depend_on_what_its_worker_did_before(place):
    """A warm worker gives the same losses as a fresh one; another seed gives others."""
    worker = place.worker()
    first = run(worker, place.assignment("first"))
    other = run(worker, place.assignment("other", seed=4))
    again = run(worker, place.assignment("again"))
    assert losses(again) == losses(first)
    assert scores(again[-1]) == scores(first[-1])
    assert losses(other) != losses(first)


def test_a_rung_is_measured_and_a_checkpoint_between_rungs_is_not(place):
    """Metrics come with the rungs only; every report has a checkpoint."""
    reports = run(place.worker(checkpoint_s=0.0), place.assignment())
    assert [r.iteration for r in reports] == [1, 2, 3, 4, 5, 6]
    assert [r.iteration for r in reports if r.metrics is not None] == [2, 6]
    assert all(Path(r.checkpoint).name.startswith("e1a1i") for r in reports)
    measured = {"segm/AP", "segm/APs", "segm/AR100", "segm/AP_small_low", "bbox/AP", "boundary/AP"}
    measured |= {"count/gt_tiny", "overlap/split_rate", "latency/ms_per_image"}
    measured |= {"latency/ms_per_image_p90", "memory/peak_mb", "model/parameters"}
    assert measured <= set(reports[-1].metrics)
    first = next(r.metrics for r in reports if r.metrics is not None)
    assert measured - set(first) == {"latency/ms_per_image", "latency/ms_per_image_p90", "memory/peak_mb"}


def test_each_iteration_and_each_batch_of_an_evaluation_is_a_sign_of_life(place):
    """Who hangs between two of them is found out."""
    worker, before = place.worker(), moves()
    worker.start(place.assignment(rungs=(2, 6)))
    worker.step()
    batches = 12 // BATCH_SIZE + 1  # of images that are all of one size
    assert moves() - before >= 2 + batches


def test_time_and_memory_are_measured_at_each_rung_where_they_decide(place):
    """A constraint on one of them has its say at every rung."""
    worker = place.worker(constraints=[{"metric": "memory/peak_mb", "max": 1e6}])
    reports = run(worker, place.assignment())
    assert [r.metrics["memory/peak_mb"] > 0 for r in reports] == [True, True]


def test_the_disk_holds_three_checkpoints_of_a_trial_at_most(place):
    """The last two that the driver has, and the newest, of which it may not have heard yet."""
    assignment = place.assignment()
    run(place.worker(checkpoint_s=0.0), assignment)
    there = sorted(path.name for path in Path(assignment.directory).iterdir())
    assert there == ["e1a1i0000004", "e1a1i0000005", "e1a1i0000006"]


def test_the_first_report_tells_what_it_ran_with(place):
    """Config, environment and time to the first iteration come once."""
    first, second = run(place.worker(), place.assignment())
    assert second.facts is None
    assert "UPSAMPLE_STRIDE: 4" in first.facts.config
    assert first.facts.environment["threads"] == "1"
    assert first.facts.started_s > 0


def test_a_worker_is_worn_out_by_what_leaks_and_not_by_large_trials(place):
    """A larger model's memory is given back between trials; what stays is found, and said in words."""
    worker = place.worker(fidelity={"iterations": 2, "rungs": [2]})
    run(worker, place.assignment("small", {**PARAMS, "mask_head.upsample_stride": 1}, rungs=(2,)))
    assert worker.worn_out() is None
    run(worker, place.assignment("large", {**PARAMS, "mask_head.conv_dim": 256}, rungs=(2,)))
    assert worker.worn_out() is None
    leak = torch.ones(80 * 2**20)  # 320 MiB
    assert worker.worn_out().startswith("its host memory was ")
    del leak
    assert worker.worn_out() is None


def test_a_pause_is_answered_with_a_checkpoint(place):
    """The pause file stops an attempt before its next rung, and it goes on from there bit by bit."""
    worker = place.worker()
    worker.start(place.assignment())
    worker.step()
    place.pause_file.touch()
    paused = worker.step()
    assert paused.paused
    assert paused.metrics is None
    assert 2 <= paused.iteration < 6
    place.pause_file.unlink()
    resumed = run(
        place.worker(),
        place.assignment(attempt=2, checkpoint=paused.checkpoint, iteration=paused.iteration),
    )
    straight = run(place.worker(), place.assignment("straight"))
    assert scores(resumed[-1]) == scores(straight[-1])


@pytest.mark.parametrize(
    ("params", "kind"),
    [
        ({"solver.base_lr": 1e12}, FailureKind.DIVERGED),
        ({"mask_head.norm": "XYZ"}, FailureKind.DOES_NOT_BUILD),
        ({"mask_head.conv_dim": 10**12}, FailureKind.DOES_NOT_BUILD),
    ],
)
def test_failures_are_told_apart_and_the_worker_goes_on(place, params, kind):
    """A failed trial is a report of its kind, and the same worker trains the next one."""
    worker = place.worker()
    failed = run(worker, place.assignment("failed", params={**PARAMS, **params}))[-1]
    assert failed.failure is not None
    assert failed.failure.kind is kind, failed.failure
    assert run(worker, place.assignment("next"))[-1].failure is None


def test_an_objective_that_cannot_be_measured_is_no_score(place, parts, tmp_path):
    """AP of a category without ground truth is absent; a trial that ends without its objective failed."""
    shutil.copytree(parts, tmp_path / "bare")
    val = json.loads((parts / "val.json").read_text())
    gone = val["categories"][0]["id"]
    val["annotations"] = [a for a in val["annotations"] if a["category_id"] != gone]
    (tmp_path / "bare" / "val.json").write_text(json.dumps(val))
    metric = f"segm/AP-{val['categories'][0]['name']}"
    worker = place.worker(data=tmp_path / "bare", objectives=[{"metric": metric}])
    first, last = run(worker, place.assignment())
    assert metric not in first.metrics
    assert first.failure is None
    assert last.failure.kind is FailureKind.UNMEASURED
    assert last.failure.message.startswith(metric)


def test_a_weights_file_that_is_missing_may_pass(place):
    """A file system that does not answer is tried again, and is not the parameters' fault."""
    worker = place.worker(base={"preset": "mask_rcnn_tiny", "weights": "/nowhere/model.pth"})
    assert run(worker, place.assignment())[-1].failure.kind is FailureKind.ERROR


def test_a_config_file_that_is_missing_may_pass(place):
    """The same for the base's config: it was there when the sweep was created."""
    worker = place.worker(base={"file": "/nowhere/model.yaml"})
    assert run(worker, place.assignment())[-1].failure.kind is FailureKind.ERROR
