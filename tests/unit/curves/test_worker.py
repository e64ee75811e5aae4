"""The worker that trains nothing: rungs, checkpoints, pauses and failures, as of one that trains."""

import random
from pathlib import Path

import pytest

from runners.curves.axes import draw
from runners.curves.worker import AnalyticWorker
from sweeps.core.trial import Assignment, FailureKind
from sweeps.testing import make_spec

QUIET = {"synthetic": "curves", "crashes": 0, "nans": 0, "out_of_memory": 0}


@pytest.fixture
def assign(tmp_path: Path):
    def make(params, **fields):
        defaults = {
            "sweep_id": "s", "number": 0, "attempt": 1, "epoch": 1, "params": params, "seed": 5,
            "rungs": (75, 150, 300), "checkpoint": None, "iteration": 0,
            "directory": str(tmp_path / "00000"), "pause_file": str(tmp_path / "pause"),
        }  # fmt: skip
        return Assignment(**(defaults | fields))

    return make


def params_of(spec, seed=0):
    return draw(spec.space, random.Random(seed))


def test_a_trial_is_evaluated_at_each_rung(assign):
    """Facts come once, a checkpoint with every report, and the loss curve in between."""
    spec = make_spec(base=QUIET)
    worker = AnalyticWorker(spec)
    worker.start(assign(params_of(spec)))
    reports = [worker.step() for _ in range(3)]
    assert [r.iteration for r in reports] == [75, 150, 300]
    names = {"segm/AP", "segm/AP_tiny", "boundary/AP", "latency/ms_per_image"}
    assert all(names <= set(r.metrics) for r in reports)
    assert [r.facts is not None for r in reports] == [True, False, False]
    assert [p.iteration for r in reports for p in r.curve] == list(range(30, 301, 30))
    assert all(Path(r.checkpoint).is_dir() for r in reports[1:])


def test_older_checkpoints_go_once_the_driver_knows_newer_ones(assign, tmp_path):
    """A step shows that those before it are in the store: the last two of them are kept."""
    spec = make_spec(base=QUIET, fidelity={"iterations": 8, "rungs": [1, 2, 4, 8]})
    worker = AnalyticWorker(spec)
    worker.start(assign(params_of(spec), rungs=(1, 2, 4, 8)))
    paths = [Path(worker.step().checkpoint) for _ in range(4)]
    assert [path.is_dir() for path in paths] == [False, True, True, True]


def test_a_resumed_attempt_measures_what_an_undisturbed_one_does(assign):
    """Also on another worker, from the checkpoint alone."""
    spec = make_spec(base=QUIET)
    params = params_of(spec)
    whole = AnalyticWorker(spec)
    whole.start(assign(params))
    reports = [whole.step() for _ in range(3)]
    other = AnalyticWorker(spec)
    other.start(assign(params, attempt=2, checkpoint=reports[1].checkpoint, iteration=150))
    again = other.step()
    assert (again.iteration, again.metrics) == (300, reports[2].metrics)


def test_a_pause_stops_before_the_rung(assign, tmp_path):
    """The report has a checkpoint to go on from, and no metrics."""
    spec = make_spec(base=QUIET)
    (tmp_path / "pause").touch()
    worker = AnalyticWorker(spec)
    worker.start(assign(params_of(spec)))
    report = worker.step()
    assert (report.iteration, report.metrics, report.paused) == (0, None, True)
    assert Path(report.checkpoint).is_dir()


def test_a_slow_training_is_checkpointed_between_rungs(assign):
    """With a pace, a checkpoint comes due; without one every step ends at a rung."""
    spec = make_spec(base={**QUIET, "step_s": 1e-4})
    worker = AnalyticWorker(spec, checkpoint_s=0.002)
    worker.start(assign(params_of(spec)))
    report = worker.step()
    assert 0 < report.iteration < 75
    assert (report.metrics, report.paused) == (None, False)


def test_planted_trouble_is_reported_by_kind(assign):
    """Divergence, lack of memory and passing errors are failures of an attempt, told in a line."""
    seen = {}
    for share in ("nans", "out_of_memory", "crashes"):
        spec = make_spec(base={**QUIET, share: 0.9})
        worker = AnalyticWorker(spec)
        for seed in range(40):
            attempt = assign(params_of(spec, seed), seed=seed)
            trouble = worker._objective.trouble(attempt.params, seed, 1)
            if trouble is None or trouble.kind is FailureKind.LOST:
                continue
            worker.start(attempt)
            report = worker.step()
            while report.failure is None:
                report = worker.step()
            seen[report.failure.kind] = report
            assert report.iteration == trouble.iteration
    assert set(seen) == {FailureKind.DIVERGED, FailureKind.OUT_OF_MEMORY, FailureKind.ERROR}
    assert seen[FailureKind.OUT_OF_MEMORY].iteration == 0


def test_a_damaged_checkpoint_is_done_without(assign):
    """The attempt begins where the one before it ends, here at nothing, and says so."""
    spec = make_spec(base=QUIET)
    worker = AnalyticWorker(spec)
    worker.start(assign(params_of(spec)))
    saved = worker.step().checkpoint
    (Path(saved) / "state.json").write_text("{")
    worker.start(assign(params_of(spec), attempt=2, checkpoint=saved, iteration=75))
    report = worker.step()
    assert (report.iteration, report.failure) == (75, None)
    assert report.fell_back is not None


def test_images_are_scored_for_the_pruner_that_pairs_them(assign):
    """Nobody else would read them."""
    for pruner, scored in (("wilcoxon", True), ("median", False)):
        spec = make_spec(base=QUIET, pruner={"type": pruner})
        worker = AnalyticWorker(spec)
        worker.start(assign(params_of(spec)))
        assert (worker.step().details is not None) == scored
