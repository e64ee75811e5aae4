"""`masksweep importance` as a user types it, on a store that holds a sweep."""

import json
import math
import random

import pytest

from sweeps.bootstrap import open_service
from sweeps.core.trial import Suggestion
from sweeps.settings import Settings
from sweeps.testing import PRUNED, make_report, make_spec
from tests.integration.command import masksweep


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home with a sweep of 20 pruned trials, `parts`, and one of two, `few`."""
    directory = tmp_path_factory.mktemp("home")
    service = open_service(Settings.load(directory), create=True)
    space = {"solver.base_lr": {"low": 0.0001, "high": 0.1, "log": True}}
    space["mask_head.num_conv"] = {"low": 1, "high": 8}
    chance = random.Random(1)
    for name, count in (("parts", 20), ("few", 2)):
        spec = make_spec(name=name, space=space)
        sweep = service.create(spec, fingerprint="f1" * 32, now=0.0)
        claim = service.claim(sweep.sweep_id, 0.0)
        for number in range(count):
            rate = 10 ** chance.uniform(-4, -1)
            params = {"solver.base_lr": rate, "mask_head.num_conv": chance.randint(1, 8)}
            service.add_trial(claim, Suggestion(number, params, number), {}, 0.0)
            metrics = {"segm/AP": 40 - 8 * abs(math.log10(rate) + 2)}
            report = make_report(number, metrics=metrics)
            service.record(claim, report, outcome=PRUNED, sampler_attrs=None, now=0.0)
    return directory


def test_a_table_tells_what_mattered(home):
    """The table is data, what its columns mean is words, and the knob that mattered stands first."""
    done = masksweep("importance", "parts", "--home", home)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].rstrip() == "segm/AP  what sets apart the best 5 of 20 trials, at 75 of 300 iterations"
    assert lines[1].split() == ["knob", "importance", "by", "chance", "trials", "with", "it"]
    first = lines[2].split()
    assert first[0] == "solver.base_lr"
    assert set(first[1]) == {"█"}
    assert first[3:] == ["1%", "100%"]
    assert done.stderr.startswith("by chance: ")


def test_json_has_every_knob(home):
    document = json.loads(masksweep("importance", "parts", "--home", home, "--json").stdout)
    assert document["sweep_id"].startswith("parts-")
    (objective,) = document["objectives"]
    assert [knob["knob"] for knob in objective["knobs"]] == ["solver.base_lr", "mask_head.num_conv"]


def test_a_sweep_of_two_trials_says_so(home):
    """Too few trials are an answer: exit code 0, no table, no traceback."""
    done = masksweep("importance", "few", "--home", home)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "segm/AP: 2 measured trials, but importance needs at least 10\n"


def test_iterations_between_rungs_are_an_error(home):
    done = masksweep("importance", "parts", "--home", home, "--iterations", 100)
    assert done.returncode == 2
    assert "are not evaluated at 100 iterations\n" in done.stderr
    assert done.stderr.endswith("\nhint: --iterations takes one of 75, 150, 300\n")
