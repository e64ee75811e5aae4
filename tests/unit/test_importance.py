import math
import random
import subprocess
import sys
from types import SimpleNamespace

import pytest

from sweeps.core.trial import Measurement
from sweeps.importance import MIN_TRIALS, importance_document, importances
from sweeps.testing import SPACE, make_spec

TWO = [{"metric": "segm/AP"}, {"metric": "latency/ms_per_image", "goal": "minimize"}]


def value_of(params) -> dict[str, float]:
    """The learning rate makes the mask AP, the head's convolutions the latency; brightness makes nothing."""
    return {
        "segm/AP": 40 - 8 * abs(math.log10(params["solver.base_lr"]) + 2),
        "latency/ms_per_image": 20.0 + 5 * params["mask_head.num_conv"],
    }


def rows(count: int, *, rungs=(75,), value=value_of, seed=0, knobs=tuple(SPACE)):
    """Trials drawn at random and what was measured of them; `rungs` by number, or the same for all."""
    chance = random.Random(seed)
    trials, measurements = [], []
    for number in range(count):
        params = {
            "mask_head.name": chance.choice(["stock", "strided"]),
            "mask_head.num_conv": chance.randint(1, 8),
            "solver.base_lr": 10 ** chance.uniform(-4, -1),
            "augment.brightness": round(0.1 * chance.randint(0, 5), 1),
        }
        if params["mask_head.name"] == "strided":
            params["mask_head.upsample_stride"] = chance.choice([1, 2, 4])
        known = {name: value for name, value in params.items() if name in knobs}
        trials.append(SimpleNamespace(number=number, params=known, replicate_of=None))
        reached = rungs(number) if callable(rungs) else rungs
        measurements += [Measurement(number, 1, rung, 0.0, value(params)) for rung in reached]
    return trials, measurements


def test_each_objective_has_what_made_it():
    """The knob that makes an objective comes first for that objective, whichever way is better."""
    found = importances(make_spec(objectives=TWO), *rows(60))
    assert [each.metric for each in found] == ["segm/AP", "latency/ms_per_image"]
    assert [each.knobs[0].name for each in found] == ["solver.base_lr", "mask_head.num_conv"]
    assert all(each.knobs[0].importance > 0.5 and each.knobs[0].by_chance <= 0.02 for each in found)


def test_what_does_not_matter_is_said_to_come_by_chance():
    """A knob that nothing depends on is not taken for one that matters, most times."""
    unlikely = 0
    for seed in range(6):
        (found,) = importances(make_spec(), *rows(20, seed=seed))
        brightness = next(knob for knob in found.knobs if knob.name == "augment.brightness")
        unlikely += brightness.by_chance < 0.1
    assert unlikely <= 2


def test_importances_sum_to_one_and_come_in_order():
    (found,) = importances(make_spec(), *rows(30))
    parts = [knob.importance for knob in found.knobs]
    assert sum(parts) == pytest.approx(1)
    assert parts == sorted(parts, reverse=True)
    assert (found.trials, found.best, found.iteration) == (30, 5, 75)


def test_the_share_of_trials_that_have_a_knob_is_told():
    """A knob that hangs on another is judged by the trials that have it, and their share is shown."""
    trials, measurements = rows(40)
    (found,) = importances(make_spec(), trials, measurements)
    active = {knob.name: knob.active for knob in found.knobs}
    having = sum("mask_head.upsample_stride" in trial.params for trial in trials)
    assert active.pop("mask_head.upsample_stride") == having / 40
    assert set(active.values()) == {1.0}


def test_a_knob_that_acts_only_within_a_branch_is_found():
    """What makes the value of half of the trials is not left out because the other half lacks it."""

    def value(params):
        return {"segm/AP": 10.0 * params.get("mask_head.upsample_stride", 1) + params["augment.brightness"]}

    (found,) = importances(make_spec(), *rows(60, value=value))
    assert "mask_head.upsample_stride" in [knob.name for knob in found.knobs[:2]]


def test_a_constant_is_no_knob_that_mattered():
    space = {"solver.base_lr": {"low": 0.0001, "high": 0.1, "log": True}, "mask_head.num_conv": 4}
    trials, measurements = rows(20, knobs=space)
    for trial in trials:
        trial.params["mask_head.num_conv"] = 4
    (found,) = importances(make_spec(space=space), trials, measurements)
    assert [knob.name for knob in found.knobs] == ["solver.base_lr"]
    space = {"mask_head.num_conv": 4}
    (found,) = importances(make_spec(space=space), *rows(20, knobs=space))
    assert found.problem == "the space has no knob that varies"


@pytest.mark.parametrize(
    ("reach", "expected"),
    [
        (lambda n: (75, 150, 300), 300),
        (lambda n: (75, 150, 300) if n < 12 else (75, 150) if n < 15 else (75,), 150),  # 30, 15, 12
        (lambda n: (75, 150) if n < 9 else (75,), 75),  # half of 18, but too few
        (lambda n: (75,), 75),
    ],
)
def test_trials_are_compared_at_the_last_rung_that_enough_came_to(reach, expected):
    """At least ten and at least half: those that came further were chosen for their values."""
    count = 18 if reach(17) == (75,) and reach(9) == (75,) else 30
    (found,) = importances(make_spec(), *rows(count, rungs=reach))
    assert found.iteration == expected


def test_the_rung_can_be_chosen():
    trials, measurements = rows(30, rungs=lambda n: (75, 150) if n < 12 else (75,))
    (found,) = importances(make_spec(), trials, measurements, 150)
    assert (found.iteration, found.trials) == (150, 12)
    (found,) = importances(make_spec(), trials, measurements, 300)
    assert found.problem == f"0 measured trials, but importance needs at least {MIN_TRIALS}"


def test_too_few_trials_are_told():
    """Nine trials make a sentence, ten make a table."""
    (few,) = importances(make_spec(), *rows(MIN_TRIALS - 1))
    assert few.problem == "9 measured trials, but importance needs at least 10"
    assert few.knobs == ()
    (enough,) = importances(make_spec(), *rows(MIN_TRIALS))
    assert enough.problem is None
    (one,) = importances(make_spec(), *rows(1))
    assert one.problem == "1 measured trial, but importance needs at least 10"
    (none,) = importances(make_spec(), [], [])
    assert none.problem == "0 measured trials, but importance needs at least 10"


def test_trials_that_are_all_alike_are_told():
    (found,) = importances(make_spec(), *rows(20, value=lambda params: {"segm/AP": 0.0}))
    assert found.problem == "the 20 measured trials are too alike to tell better ones from worse"


def test_what_was_not_measured_does_not_count():
    """A value that is missing or NaN is no value: the trial is left out for that objective."""
    trials, measurements = rows(24)
    for each in measurements[:4]:
        each.metrics.pop("segm/AP")
    measurements[4].metrics["segm/AP"] = math.nan
    (found,) = importances(make_spec(), trials, measurements)
    assert found.trials == 19


def test_replicates_do_not_count():
    """A finalist that runs again with other seeds does not make its parameters more important."""
    trials, measurements = rows(30)
    best = min(trials, key=lambda trial: abs(math.log10(trial.params["solver.base_lr"]) + 2))
    again = [SimpleNamespace(number=n, params=best.params, replicate_of=best.number) for n in range(100, 105)]
    more = [Measurement(trial.number, 1, 75, 0.0, value_of(best.params)) for trial in again]
    assert importances(make_spec(), [*trials, *again], [*measurements, *more]) == importances(
        make_spec(), trials, measurements
    )


def test_the_same_rows_give_the_same_figures_in_another_process():
    """No hash seed, no clock and no order of a set has a say."""
    program = (
        "import json, runpy\n"
        f"tests = runpy.run_path({__file__!r})\n"
        "found = tests['importances'](tests['make_spec'](objectives=tests['TWO']), *tests['rows'](25))\n"
        "print(json.dumps(tests['importance_document'](found)))\n"
    )
    answers = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(answers) == 1


def test_the_document_is_complete():
    found = importances(make_spec(), *rows(20))
    (document,) = importance_document(found)
    knob = document["knobs"][0]
    assert {k: v for k, v in document.items() if k != "knobs"} == {
        "metric": "segm/AP",
        "goal": "maximize",
        "iterations": 75,
        "trials": 20,
        "best_trials": 5,
        "problem": None,
    }
    assert set(knob) == {"knob", "importance", "by_chance", "active"}
