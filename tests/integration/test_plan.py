"""`masksweep plan` on real training, and against what sweeps then cost."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from runners.curves.objective import Objective
from runners.probe import probe_points
from sweeps.bootstrap import open_service
from sweeps.core.spec import parse_spec
from sweeps.settings import Settings
from tests.integration.command import masksweep, succeeding

C4 = """
VERSION: 2
MODEL:
  MASK_ON: true
  RESNETS: {DEPTH: 18, RES2_OUT_CHANNELS: 64, NORM: BN, OUT_FEATURES: [res4]}
  BACKBONE: {NAME: build_resnet_backbone, FREEZE_AT: 0}
  RPN: {IN_FEATURES: [res4], POST_NMS_TOPK_TRAIN: 50, POST_NMS_TOPK_TEST: 20}
  ROI_HEADS: {NAME: Res5ROIHeads, IN_FEATURES: [res4], BATCH_SIZE_PER_IMAGE: 8}
  ROI_MASK_HEAD: {NAME: MaskRCNNConvUpsampleHead, CONV_DIM: 32, NUM_CONV: 0}
INPUT: {MIN_SIZE_TRAIN: [64], MIN_SIZE_TEST: 64}
SOLVER: {IMS_PER_BATCH: 1}
"""
"""A base without a feature pyramid, in which PointRend has nothing to take its features from."""

pytestmark = pytest.mark.slow  # trains real models, in processes of their own

CURVES = """
version: 1
name: curves
base: {synthetic: curves, step_s: 0.001}
space:
  mask_head.conv_dim: {low: 64, high: 256, step: 32}
  solver.base_lr: {low: 0.0001, high: 0.01, log: true}
fidelity: {iterations: 200, rungs: [50, 100, 200]}
budget: {trials: 8}
"""


def leftovers():
    return {path.name for path in Path(tempfile.gettempdir()).glob("masksweep-plan-*")}


def written(path, parts, sections):
    path.write_text(
        "version: 1\nname: planned\n"
        f"dataset:\n  train: {{annotations: {parts}/train.json, images: {parts}/images}}\n"
        f"  val: {{annotations: {parts}/val.json, images: {parts}/images}}\n" + sections
    )
    return path


def test_the_tiny_preset_is_planned_within_a_minute_and_nothing_stays(tmp_path, parts):
    spec = written(tmp_path / "spec.yaml", parts, "base: {preset: mask_rcnn_tiny}\nbudget: {trials: 10}\n")
    before, began = leftovers(), time.monotonic()
    document = json.loads(succeeding("plan", spec, "--json", cwd=tmp_path))
    assert time.monotonic() - began < 60
    assert sorted(path.name for path in tmp_path.iterdir()) == ["spec.yaml"]
    assert leftovers() == before
    assert document["trials"] == 10
    assert 0 < document["gpu_hours"]["low"] < document["gpu_hours"]["high"]
    assert document["disk_gb"]["high"] > 0
    assert 0.2 < document["peak_memory_gb"] < 8
    assert document["infeasible"] == []


def test_corners_that_do_not_build_are_named_with_their_reason(tmp_path, parts):
    (tmp_path / "c4.yaml").write_text(C4)
    spec = written(
        tmp_path / "spec.yaml",
        parts,
        "base: {file: c4.yaml, weights: none}\n"
        "space:\n  mask_head.name: {choices: [stock, pointrend]}\n"
        "fidelity: {iterations: 90, rungs: [30, 90]}\n",
    )
    planned = succeeding("plan", spec, "--json", "--probe-seconds", "120", cwd=tmp_path)
    document = json.loads(planned)
    (broken,) = document["infeasible"]
    assert broken["params"] == {"mask_head.name": "pointrend"}
    assert broken["reason"].startswith("does_not_build: ValueError: mask_head.name: pointrend needs a base")
    assert document["basis"] == "a probe of 1 point"


def test_a_corner_that_takes_too_much_memory_is_named_and_the_others_are_timed(tmp_path, parts):
    """The probe takes no more than there is, be it what a limit of its user's leaves."""
    written(
        tmp_path / "spec.yaml",
        parts,
        "base: {preset: mask_rcnn_tiny}\n"
        "space: {input.size: {choices: [96, 128, 4096]}}\n"
        "budget: {trials: 3}\n",
    )
    command = f"{sys.executable} -m sweeps.cli plan spec.yaml --json --probe-seconds 240"
    limited = ["bash", "-c", f"ulimit -d {3 * 1024 * 1024}; exec {command}"]
    done = subprocess.run(limited, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    (large,) = document["infeasible"]
    assert large["params"] == {"input.size": 4096}
    assert large["reason"].startswith("out_of_host_memory: ")
    assert document["basis"] == "a probe of 2 points"
    assert document["notes"] == []
    assert document["peak_memory_gb"] < 1.5  # of those that fit


def test_a_sweep_costs_what_its_plan_said_and_the_next_plan_learns_from_it(tmp_path, ray_address, mlflow_uri):
    spec = tmp_path / "spec.yaml"
    # steps are what costs, and not the waits of workers for a busy machine, which no probe foresees
    spec.write_text(CURVES.replace("step_s: 0.001", "step_s: 0.02"))
    home = tmp_path / "home"
    planned = json.loads(succeeding("plan", spec, "--json", "--home", home, cwd=tmp_path))
    succeeding("run", spec, "--home", home, "--ray-address", ray_address, MLFLOW_TRACKING_URI=mlflow_uri)
    service = open_service(Settings.load(home))
    (sweep,) = service.sweeps()
    hours = planned["worker_hours"]
    assert hours["low"] <= sweep.worker_s / 3600 <= hours["high"]
    done = sum(trial.iteration for trial in service.trials(sweep.sweep_id))
    assert planned["iterations_range"]["low"] <= done <= planned["iterations_range"]["high"]

    again = succeeding("plan", spec, "--json", "--home", home, "--no-probe", cwd=tmp_path)
    learnt = json.loads(again)
    assert learnt["basis"] == f"1 earlier sweep ({len(service.trials(sweep.sweep_id))} attempts)"
    assert learnt["disk_gb"] is not None  # of checkpoints that are still there
    assert learnt["worker_hours"]["low"] <= sweep.worker_s / 3600 <= learnt["worker_hours"]["high"]


def test_where_no_extreme_can_be_trained_other_points_are_timed(tmp_path):
    """The plan needs the times of some points, whichever these are."""
    spec = parse_spec(CURVES.replace("step_s: 0.001", "out_of_memory: 0.5, nans: 0, crashes: 0"), tmp_path)
    objective = Objective.of(spec)
    points = [{"mask_head.conv_dim": width, "solver.base_lr": 0.001} for width in range(64, 257, 32)]
    large = [point for point in points if objective.trouble(point, seed=0, attempt=1)]
    small = [point for point in points if point not in large]
    assert large
    assert small
    probe = probe_points(spec, [large[0], *small], timed=1, seconds=120.0)
    assert [each.params for each in probe.infeasible] == [large[0]]
    assert [each.params for each in probe.timings] == small[:1]


def test_mistakes_are_told_as_run_tells_them(tmp_path):
    spec = tmp_path / "spec.yaml"
    spec.write_text(CURVES.replace("trials: 8", "trials: none"))
    ended = masksweep("plan", spec, cwd=tmp_path)
    assert ended.returncode == 2
    assert "budget.trials" in ended.stderr
    spec.write_text(CURVES)
    ended = masksweep("plan", spec, "--no-probe", cwd=tmp_path)
    assert ended.returncode == 2
    assert "there are not 3 trials of this data, base and fidelity to plan by" in ended.stderr
    assert "Traceback" not in ended.stderr
