"""A synthetic base through everything but training: CLI, Ray, store and MLflow."""

import json
from pathlib import Path

import pytest
import yaml

from sweeps.bootstrap import open_service
from sweeps.core.states import AttemptState, TrialState
from sweeps.settings import Settings
from tests.integration.command import masksweep

pytestmark = pytest.mark.slow  # joins a Ray cluster and loses workers

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "curves.yaml"


def test_the_example_runs_and_survives_its_own_trouble(tmp_path, ray_address):
    """No data set is needed; crashes are retried, what diverges or lacks memory is INFEASIBLE at once."""
    spec = yaml.safe_load(EXAMPLE.read_text())
    spec["base"] |= {"crashes": 0.3, "nans": 0.15, "out_of_memory": 0.1}
    # nothing then depends on which worker is faster; with this seed all kinds of trouble come
    spec |= {"budget": {"trials": 24, "gpu_hours": 8}, "resources": {"gpus_per_trial": 0}}
    spec |= {"sampler": {"type": "random", "seed": 2}}
    spec |= {"pruner": {"type": "none"}}
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(spec))
    options = ("--home", "home", "--json", "--ray-address", ray_address)
    done = masksweep("run", "spec.yaml", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["state"] == "COMPLETED"
    assert "note: budget.gpu_hours 8 limits nothing: trials run on the CPU" in done.stderr
    states = {trial["state"] for trial in document["trials"]}
    assert len(document["trials"]) == 24
    assert {"COMPLETED", "INFEASIBLE"} <= states <= {"COMPLETED", "INFEASIBLE", "FAILED"}
    assert document["best"]["metrics"]["segm/AP"] > 40
    service = open_service(Settings.load(tmp_path / "home", environ={}))
    (sweep,) = service.sweeps()
    attempts = service.attempts(sweep.sweep_id)
    reasons = " ".join(a.reason or "" for a in attempts)
    for words in ("lost: the worker died", "error: planted", "diverged: planted", "out_of_memory: planted"):
        assert words in reasons
    assert any(a.state is AttemptState.LOST for a in attempts)
    retried = [t for t in service.trials(sweep.sweep_id) if t.attempt > 1]
    assert any(t.state is TrialState.COMPLETED for t in retried)
