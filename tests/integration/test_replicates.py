"""Finalists that are run again: on a real Ray cluster, from the command line, and with real models."""

import json
from pathlib import Path

import pytest
import yaml

from sweeps.core.finals import Finals
from sweeps.core.replicates import spread
from sweeps.core.states import SweepState, TrialState
from tests.integration.command import succeeding
from tests.integration.home import Home, Interrupt

pytestmark = pytest.mark.slow  # joins a Ray cluster

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "curves.yaml"
AGAIN = {"replicates": {"runs": 3, "finalists": 2}}


def test_a_sweep_paused_among_its_replicates_ends_with_all_of_them(tmp_path, mlflow_uri, ray_address):
    """No iteration is done twice, and what is left on the disk is the best run of the leader."""
    home = Home(tmp_path, mlflow_uri, pruner={"type": "none"}, budget={"trials": 4}, **AGAIN)
    home.drive(ray_address, on_progress=Interrupt(lambda changed: changed.number >= 100_000), step_s=0.02)
    assert home.state is SweepState.PAUSED
    home.drive(ray_address)
    assert home.state is SweepState.COMPLETED
    again = [t for t in home.trials if t.replicate_of is not None]
    assert len(again) == 4
    assert {t.state for t in home.trials} == {TrialState.COMPLETED}
    assert dict(home.iterations()) == {(t.number, i): 1 for t in home.trials for i in range(1, 10)}
    finals = Finals(home.service.sweep(home.sweep_id).spec)
    best_run, *_ = finals.runs_of(finals.leader(home.trials, settled=True))
    trials = home.settings.sweep_directory(home.sweep_id) / "trials"
    assert [path.name for path in trials.iterdir()] == [f"{best_run:05d}"]


def test_a_lost_replicate_is_retried_and_a_broken_one_is_said(tmp_path, mlflow_uri, ray_address):
    """A worker that dies costs an attempt; a run that diverges costs its finalist a run."""
    home = Home(
        tmp_path,
        mlflow_uri,
        pruner={"type": "none"},
        budget={"trials": 1},
        replicates={"runs": 3, "finalists": 1},
    )
    home.drive(ray_address, faults={100_000: "exit", 200_000: "diverged"})
    got = {t.number: (t.state, t.attempt) for t in home.trials if t.replicate_of is not None}
    assert got == {100_000: (TrialState.COMPLETED, 2), 200_000: (TrialState.INFEASIBLE, 1)}
    assert home.state is SweepState.COMPLETED


def test_the_command_line_tells_means_and_deviations(tmp_path, ray_address):
    """Runs of one finalist differ by chance; `--json`, `show` and `ls` have the same figures."""
    spec = yaml.safe_load(EXAMPLE.read_text())
    spec |= {"budget": {"trials": 8}, "sampler": {"type": "random"}, "replicates": 3}
    spec |= {"pruner": {"type": "none"}}  # how many complete does not depend on who is faster
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(spec))
    printed = succeeding(
        "run", "spec.yaml", "--home", "home", "--ray-address", ray_address, "--json", cwd=tmp_path
    )
    document = json.loads(printed)
    metric = document["objectives"][0]["metric"]
    trials = {trial["number"]: trial for trial in document["trials"]}
    finalists = [trial for trial in trials.values() if trial["replicates"]]
    assert len(finalists) == 3
    for trial in finalists:
        runs = [trials[number] for number in trial["replicates"]["completed"]]
        assert {run["replicate_of"] for run in runs} == {None, trial["number"]}
        expected = spread(run["metrics"][metric] for run in runs)
        assert trial["replicates"]["metrics"][metric] == {
            "mean": expected.mean, "std": expected.deviation, "n": len(runs),
        }  # fmt: skip
        assert expected.deviation > 0
    best = document["best"]
    means = {t["number"]: t["replicates"]["metrics"][metric]["mean"] for t in finalists}
    assert best["number"] == max(means, key=means.get)
    assert Path(best["checkpoint"]).is_dir()
    assert best["run"] in best["replicates"]["completed"]
    figures = best["replicates"]["metrics"][metric]
    words = f"{figures['mean']:.2f} ± {figures['std']:.2f}"
    assert words in succeeding("show", document["sweep_id"], "--home", "home", cwd=tmp_path)
    assert f"{figures['mean']:.4g} ± {figures['std']:.2g}" in succeeding("ls", "--home", "home", cwd=tmp_path)


def test_a_real_model_trains_again_with_another_seed(tmp_path, ray_address, parts):
    """The same parameters and another seed make another model, and each run is evaluated at its end."""
    (tmp_path / "spec.yaml").write_text(
        "version: 1\nname: again\n"
        f"dataset:\n  train: {{annotations: {parts}/train.json, images: {parts}/images}}\n"
        f"  val: {{annotations: {parts}/val.json, images: {parts}/images}}\n"
        "base: {preset: mask_rcnn_tiny}\nspace: {solver.base_lr: {low: 0.0003, high: 0.003, log: true}}\n"
        "fidelity: {iterations: 4, rungs: [2, 4]}\nbudget: {trials: 1}\npruner: {type: none}\nreplicates: 2\n"
    )
    arguments = ("run", "spec.yaml", "--home", "home", "--ray-address", ray_address, "--json")
    document = json.loads(succeeding(*arguments, cwd=tmp_path))
    first, again = document["trials"]
    assert (again["number"], again["replicate_of"], again["state"]) == (100_000, 0, "COMPLETED")
    assert (again["iterations"], again["params"]) == (4, first["params"])
    assert first["replicates"]["metrics"]["segm/AP"]["n"] == 2
    assert document["best"]["checkpoint"]
