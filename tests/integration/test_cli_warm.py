"""A warm start as a user types it: two sweeps of analytic trials in one home, the second from the first."""

import json
from types import SimpleNamespace

import pytest

from tests.integration.command import masksweep

pytestmark = pytest.mark.slow  # joins a Ray cluster

SPEC = """
version: 1
name: {name}
base: {{synthetic: curves, noise: {noise}, crashes: 0, nans: 0, out_of_memory: 0}}
space:
  mask_head.num_conv: {{low: 1, high: {convolutions}}}
  solver.base_lr: {{low: 1e-4, high: 1e-1, log: true}}
sampler: {{type: tpe, seed: 3, startup_trials: 3}}
pruner: {{type: none}}
fidelity: {{iterations: 30, rungs: [10, 30]}}
budget: {{trials: {trials}}}
resources: {{max_concurrent: 1}}
"""


@pytest.fixture(scope="module")
def first(tmp_path_factory, ray_address):
    """A home in which a sweep of eight trials has run."""
    home = tmp_path_factory.mktemp("home")

    def run(name, start="", *, noise=0.3, convolutions=8, trials=2):
        spec = home / f"{name}.yaml"
        text = SPEC.format(name=name, noise=noise, convolutions=convolutions, trials=trials)
        spec.write_text(f"{text}{start}\n")
        return masksweep("run", spec, "--home", home, "--json", "--ray-address", ray_address)

    done = run("first", trials=8)
    assert done.returncode == 0, done.stderr
    return SimpleNamespace(home=home, run=run, document=json.loads(done.stdout))


def test_trials_of_an_equal_sweep_are_known(first):
    """run, show and --json say how many trials of which sweep were taken over; none of them runs again."""
    source = first.document["sweep_id"]
    done = first.run("second", f"warm_start: {{from: [{source}], trials: best 5}}")
    assert done.returncode == 0, done.stderr
    assert f"\nwarm start: 5 trials known from {source}\n" in done.stderr
    document = json.loads(done.stdout)
    assert document["warm_start"] == {
        "sources": [source],
        "known": {source: 5},
        "reruns": [],
        "rerun_reasons": {},
        "not_usable": {},
    }
    assert [trial["number"] for trial in document["trials"]] == [0, 1]
    shown = masksweep("show", document["sweep_id"], "--home", first.home)
    assert f"\nwarm start: 5 trials known from {source}\n" in shown.stdout


def test_a_plan_tells_what_would_be_taken_over(first):
    """`plan` says it in the same words, and creates nothing."""
    source = first.document["sweep_id"]
    spec = first.home / "planned.yaml"
    text = SPEC.format(name="planned", noise=0.3, convolutions=8, trials=2)
    spec.write_text(f"{text}warm_start: {{from: [{source}], trials: all}}\n")
    done = masksweep("plan", spec, "--home", first.home, "--no-probe")
    assert done.returncode == 0, done.stderr
    assert f"warm start: 8 trials known from {source}\n" in done.stderr
    listed = json.loads(masksweep("ls", "--home", first.home, "--json").stdout)["sweeps"]
    assert "planned" not in [sweep["name"] for sweep in listed]


def test_the_best_of_another_function_are_run_again(first):
    """Other noise is another function: the best come first, those outside the space are passed over."""
    source, trials = first.document["sweep_id"], first.document["trials"]
    ranked = sorted(trials, key=lambda trial: -trial["metrics"]["segm/AP"])
    params = [trial["params"] for trial in ranked]
    bound = params[0]["mask_head.num_conv"] - 1  # so that the best is outside
    fitting = [each for each in params if each["mask_head.num_conv"] <= bound][:2]
    assert len(fitting) == 2, "the seed gives no such case: choose another"
    start = f"warm_start: {{from: [{source}], trials: best 2}}"
    done = first.run("third", start, noise=0.1, convolutions=bound)
    assert done.returncode == 0, done.stderr
    assert "\nwarm start: 2 trials to re-run first (another function), " in done.stderr
    assert f"mask_head.num_conv {bound + 1} is outside the space" in done.stderr
    assert "\nnote: to re-run takes the whole budget of 2 trials" in done.stderr
    document = json.loads(done.stdout)
    assert [trial["params"] for trial in document["trials"]] == fitting
    assert document["warm_start"]["rerun_reasons"] == {"another function": 2}


def test_wrong_sources_are_told_before_anything_is_created(first):
    """They are problems of the spec, in one list with its other problems, and no sweep is left behind."""
    before = json.loads(masksweep("ls", "--home", first.home, "--json").stdout)
    source = first.document["sweep_id"]
    done = first.run("fourth", f"warm_start: {{from: [{source[:-1]}0, 'schedule:nightly']}}")
    assert done.returncode == 2
    head, typo, hint, schedule = done.stderr.splitlines()
    assert head.endswith("fourth.yaml: 2 problems")
    assert typo == f"  warm_start.from[0]: no sweep '{source[:-1]}0'"
    assert hint.startswith("      hint: did you mean ")
    assert source in hint
    assert schedule == "  warm_start.from[1]: no schedule named nightly"
    assert json.loads(masksweep("ls", "--home", first.home, "--json").stdout) == before


def test_without_a_store_there_is_no_source(tmp_path):
    """A home that nothing was run in is not even made."""
    spec = tmp_path / "spec.yaml"
    text = SPEC.format(name="first", noise=0, convolutions=8, trials=1)
    spec.write_text(f"{text}warm_start: {{from: [parts-abc]}}\n")
    done = masksweep("run", spec, "--home", tmp_path / "home")
    assert done.returncode == 2
    assert "warm_start.from[0]: no sweep 'parts-abc'\n      hint: there is no sweep yet" in done.stderr
    assert not (tmp_path / "home").exists()
