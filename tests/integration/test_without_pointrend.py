"""A Detectron2 without its PointRend project: everything works but the head that needs it."""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow  # imports torch in a process of its own

PROGRAM = """
import json, sys
sys.modules["detectron2.projects.point_rend"] = None  # what an import then meets is a missing module

from runners.detectron.worker import DetectronWorker
from sweeps.core.trial import Assignment
from sweeps.testing import make_spec

parts, scratch = sys.argv[1:]
half = {"images": f"{parts}/images"}
spec = make_spec(
    dataset={name: {**half, "annotations": f"{parts}/{name}.json"} for name in ("train", "val")},
    fidelity={"iterations": 1, "rungs": [1]},
)
worker, failures = DetectronWorker(spec, device="cpu"), []
trials = {"mask_head.name": "pointrend", "point_head.num_fc": 1}, {"mask_head.name": "strided"}
for number, params in enumerate(trials):
    directory = f"{scratch}/{number}"
    worker.start(Assignment("s", number, 1, 1, params, 3, (1,), None, 0, directory, f"{scratch}/pause"))
    failure = worker.step().failure
    failures.append(failure and [failure.kind, failure.message])
print(json.dumps(failures))
"""


def test_only_pointrend_trials_do_not_build(parts, tmp_path):
    """They are told what is missing and what brings it; the same worker trains other heads."""
    command = [sys.executable, "-c", PROGRAM, str(parts), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    (kind, message), other = json.loads(done.stdout.splitlines()[-1])
    assert kind == "does_not_build"
    assert "needs detectron2.projects.point_rend" in message
    assert other is None
