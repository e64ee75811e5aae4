"""What is taken over from earlier sweeps, and how that is told."""

import math
from dataclasses import replace

import pytest

from sweeps.core.states import TrialState
from sweeps.core.trial import Measurement
from sweeps.records import TrialRecord
from sweeps.testing import make_spec
from sweeps.warm.comparable import Setting, difference
from sweeps.warm.projection import projected
from sweeps.warm.takeover import Source, take_over

PARAMS = {
    "mask_head.name": "strided",
    "mask_head.upsample_stride": 2,
    "mask_head.num_conv": 4,
    "solver.base_lr": 0.01,
    "augment.brightness": 0.1,
}


def new(trials="best 20", fingerprint="data", base="base", **sections):
    """A sweep that is about to begin."""
    return Setting(
        make_spec(warm_start={"from": ["parts-a"], "trials": trials}, **sections), fingerprint, base
    )


def old(*rows, sweep_id="parts-a", fingerprint="data", base="base", **sections):
    """An earlier sweep; its trials as (state, params that differ, metrics by iteration)."""
    trials, measurements = [], []
    for number, (state, params, metrics) in enumerate(rows):
        measurements += [Measurement(number, 1, at, 0.0, values) for at, values in metrics.items()]
        last = max(metrics, default=0)
        known = {**PARAMS, "augment.brightness": 0.1 * (number % 6), "mask_head.num_conv": 1 + number % 8}
        known = {name: value for name, value in {**known, **params}.items() if value is not None}
        record = TrialRecord(
            number, TrialState(state), None, known, 1, 1, 0, last, None, 0, 0.0, 0.0, None, {},
            metrics.get(last, {}), last,
        )  # fmt: skip
        trials.append(record)
    return Source(sweep_id, Setting(make_spec(**sections), fingerprint, base), trials, measurements)


def done(ap, **params):
    names = {name.replace("__", "."): value for name, value in params.items()}
    return "COMPLETED", names, {75: {"segm/AP": ap / 2}, 300: {"segm/AP": ap, "segm/AP50": 2 * ap}}


def numbers(plan):
    return [each.origin.number for each in plan.known], [each.origin.number for each in plan.reruns]


def test_equal_sweeps_are_known_as_they_are():
    """Parameters, state and the values at every rung come over; metrics that nobody judges by do not."""
    plan = take_over(new(), [old(done(30), ("PRUNED", {}, {75: {"segm/AP": 1.0}}))])
    first, second = plan.known
    assert (first.params, first.state) == (
        {**PARAMS, "mask_head.num_conv": 1, "augment.brightness": 0.0},
        "COMPLETED",
    )
    assert first.readings == ((75, {"segm/AP": 15.0}), (300, {"segm/AP": 30}))
    assert (second.state, second.metrics) == (TrialState.PRUNED, {"segm/AP": 1.0})
    assert plan.reruns == ()
    assert str(plan.summary) == "2 trials known from parts-a"


@pytest.mark.parametrize(
    ("why", "mine", "theirs"),
    [
        ("another data set", {}, {"fingerprint": "others"}),
        ("another base", {}, {"base": "others"}),
        ("another fidelity", {"fidelity": {"iterations": 300, "rungs": [100, 300]}}, {}),
        ("another fidelity", {"fidelity": {"iterations": 600, "rungs": [75, 150, 600]}}, {}),
        ("other inference settings", {"inference": {"mask_threshold": [0.4, 0.5]}}, {}),
        (
            "other size bins",
            {"objectives": [{"metric": "segm/AP_bolt"}], "metrics": {"size_bins": {"bolt": [10, 24]}}},
            {"metrics": {"size_bins": {"bolt": [10, 32]}}},
        ),
        (
            "other resources",
            {"constraints": [{"metric": "latency/ms_per_image", "max": 80}]},
            {"resources": {"gpus_per_trial": 0.5}},
        ),
    ],
)
def test_what_cannot_be_compared_is_run_again(why, mine, theirs):
    """The reason is told; the parameters come first in the new sweep."""
    metrics = {"segm/AP": 1.0, "segm/AP_bolt": 2.0, "latency/ms_per_image": 30.0}
    plan = take_over(new(**mine), [old(("COMPLETED", {}, {300: metrics}), **theirs)])
    assert numbers(plan) == ([], [0])
    assert str(plan.summary) == f"1 trial to re-run first ({why})"


def test_what_changes_no_value_makes_no_difference():
    """Bins that nobody judges by, another search, name or budget, a share of a GPU where time is no goal."""
    theirs = {
        "name": "others",
        "metrics": {"size_bins": {"bolt": [10, 24]}},
        "sampler": {"type": "random", "seed": 3},
        "pruner": {"type": "none"},
        "budget": {"trials": 3},
        "resources": {"gpus_per_trial": 0.5},
    }
    assert numbers(take_over(new(), [old(done(30), **theirs)])) == ([0], [])


def test_without_recorded_contents_only_bases_without_files_are_equal():
    """A sweep of an older program tells the name of its base: a file may have changed under its name."""
    named = Setting(make_spec(), "data", None)
    assert difference(Setting(make_spec(), "data", "base"), named) is None
    files = make_spec(base={"preset": "mask_rcnn_tiny", "weights": "/weights.pth"})
    assert difference(Setting(files, "data", "base"), Setting(files, "data", None)) == "another base"
    assert difference(Setting(files, "data", "base"), Setting(files, "data", "base")) is None


def test_the_best_are_the_new_sweeps_best():
    """Objectives and constraints are those of the new sweep; who lacks a metric is no candidate."""
    rows = [
        ("COMPLETED", {}, {300: {"segm/AP": 50.0, "segm/APs": 5.0, "latency/ms_per_image": 90.0}}),
        ("COMPLETED", {}, {300: {"segm/AP": 10.0, "segm/APs": 9.0, "latency/ms_per_image": 50.0}}),
        ("COMPLETED", {}, {300: {"segm/AP": 60.0, "latency/ms_per_image": 50.0}}),
        ("COMPLETED", {}, {300: {"segm/AP": 20.0, "segm/APs": 7.0, "latency/ms_per_image": 50.0}}),
    ]
    sections = {
        "objectives": [{"metric": "segm/APs"}],
        "constraints": [{"metric": "latency/ms_per_image", "max": 60}],
    }
    assert numbers(take_over(new("best 2", **sections), [old(*rows)])) == ([1, 3], [])
    assert numbers(take_over(new("best 3", **sections), [old(*rows)])) == ([0, 1, 3], [])


def test_the_best_of_several_sources():
    """Sources that can be compared are ranked together; the best of the others come in turn."""
    same = [old(done(10), done(30)), old(done(20), done(5), sweep_id="parts-b")]
    plan = take_over(new("best 2"), [*same])
    assert [str(each.origin) for each in plan.known] == ["parts-a/1", "parts-b/0"]
    far = old(
        done(0.1, mask_head__num_conv=7), done(0.2, mask_head__num_conv=8), sweep_id="far", fingerprint="x"
    )
    plan = take_over(new("best 3"), [*same, far])
    assert [str(each.origin) for each in plan.known] == ["parts-a/1", "parts-b/0"]
    assert [str(each.origin) for each in plan.reruns] == ["far/1"]
    assert str(plan.summary) == ("2 trials known from parts-a, parts-b, 1 to re-run first (another data set)")


def test_parameters_outside_the_space_are_passed_over():
    """The next best takes the place; what was wrong is counted and told."""
    rows = [done(50, mask_head__num_conv=9), done(40, solver__base_lr=1.0), done(30), done(20), done(10)]
    plan = take_over(new("best 2"), [old(*rows)])
    assert numbers(plan) == ([2, 3], [])
    assert str(plan.summary) == (
        "2 trials known from parts-a, 2 not usable"
        " (1: mask_head.num_conv 9 is outside the space; 1: solver.base_lr 1 is outside the space)"
    )


def test_parameters_that_were_not_searched_are_run_again():
    """Nobody knows what an older sweep had for a knob that it did not search."""
    plan = take_over(new(), [old(done(30, augment__brightness=None))])
    assert numbers(plan) == ([], [0])
    assert "augment.brightness" not in plan.reruns[0].params
    assert str(plan.summary) == "1 trial to re-run first (augment.brightness was not searched there)"


def test_equal_parameters_are_taken_once():
    """The better of two; one whose values are known comes before one that would have to run."""
    twins = {"augment.brightness": 0.1, "mask_head.num_conv": 4}
    rows = [("COMPLETED", twins, {300: {"segm/AP": ap}}) for ap in (1.0, 2.0)]
    plan = take_over(new("all"), [old(*rows)])
    assert numbers(plan) == ([1], [])
    assert str(plan.summary) == "1 trial known from parts-a, 1 not usable (parameters that another has)"
    best_elsewhere = old(("COMPLETED", twins, {300: {"segm/AP": 9.0}}), sweep_id="far", fingerprint="x")
    plan = take_over(new("all"), [best_elsewhere, old(done(50), rows[0])])
    assert ([str(each.origin) for each in plan.known], plan.reruns) == (["parts-a/0", "parts-a/1"], ())


def test_all_says_what_became_of_every_trial():
    """INFEASIBLE is knowledge where all is equal; what did not end, or has no value, is counted."""
    rows = [
        done(30),
        ("PRUNED", {}, {75: {"segm/AP": 3.0}}),
        ("INFEASIBLE", {}, {}),
        ("FAILED", {}, {75: {"segm/AP": 4.0}}),
        ("RUNNING", {}, {}),
        ("COMPLETED", {}, {300: {"segm/AP50": 3.0}}),
    ]
    plan = take_over(new("all"), [old(*rows)])
    assert numbers(plan) == ([0, 1, 2], [])
    assert plan.summary.unused == {"FAILED there": 1, "not ended there": 1, "segm/AP was not measured": 1}
    plan = take_over(new("all", fingerprint="x"), [old(*rows)])
    assert numbers(plan) == ([], [0, 1])
    assert plan.summary.unused["INFEASIBLE there"] == 1
    assert numbers(take_over(new("best 9"), [old(*rows)])) == ([0, 1], [])


def test_what_did_not_fit_on_a_smaller_share_may_fit_now():
    rows = [("INFEASIBLE", {}, {})]
    source = old(*rows, resources={"gpus_per_trial": 0.25})
    assert numbers(take_over(new("all", resources={"gpus_per_trial": 1}), [source])) == ([], [])
    assert numbers(take_over(new("all", resources={"gpus_per_trial": 0.25}), [source])) == ([0], [])


def test_nothing_to_take_over_is_told():
    assert str(take_over(new(), [old()]).summary) == "no trials in parts-a"


def test_many_reasons_are_cut_short():
    rows = [done(n, mask_head__num_conv=9 + max(0, n - 2)) for n in range(7)]
    text = str(take_over(new(), [old(*rows)]).summary)
    assert text == (
        "7 not usable (3: mask_head.num_conv 9 is outside the space; 1: mask_head.num_conv 13 is outside the"
        " space; 1: mask_head.num_conv 12 is outside the space; 2: other reasons)"
    )


# -- parameters in another space


@pytest.mark.parametrize(
    ("params", "problem"),
    [
        ({"solver.momentum": 0.9}, "solver.momentum is not in the space"),
        ({"mask_head.name": "pointrend"}, "mask_head.name pointrend is outside the space"),
        ({"augment.brightness": 0.15}, "augment.brightness 0.15 is outside the space"),
        ({"solver.base_lr": 0.00000018002299153848988}, "solver.base_lr 1.8e-07 is outside the space"),
        ({"mask_head.num_conv": 4.5}, "mask_head.num_conv 4.5 is outside the space"),
        ({"mask_head.name": "stock"}, "mask_head.upsample_stride is not active in the space there"),
    ],
)
def test_what_is_not_of_the_space_is_named(params, problem):
    assert projected(make_spec().space, {**PARAMS, **params}).problem == problem


def test_missing_parameters_are_those_that_may_be_active():
    """What hangs on a knob that is missing itself may be active; what hangs on another value is not."""
    space = make_spec().space
    assert projected(space, {**PARAMS, "mask_head.name": "strided"}).missing == ()
    stock = {name: value for name, value in PARAMS.items() if name != "mask_head.upsample_stride"}
    assert projected(space, {**stock, "mask_head.name": "stock"}).missing == ()
    assert projected(space, stock).missing == ("mask_head.upsample_stride",)
    headless = {name: value for name, value in PARAMS.items() if name != "mask_head.name"}
    assert projected(space, headless).missing == ("mask_head.name",)
    assert projected(space, headless).params["mask_head.upsample_stride"] == 2
    assert projected(space, {"solver.base_lr": 0.01}).missing == (
        "mask_head.name",
        "mask_head.upsample_stride",
        "mask_head.num_conv",
        "augment.brightness",
    )


def test_values_are_written_as_the_space_writes_them():
    """A whole number on a range of reals is a real number, and parameters come in the space's order."""
    space = make_spec().space
    kept = projected(space, {**dict(reversed(PARAMS.items())), "augment.brightness": 0}).params
    assert [type(kept["augment.brightness"]), kept["augment.brightness"]] == [float, 0.0]
    assert list(kept) == [p.name for p in space.parameters]


def test_a_source_is_not_changed():
    """Taking over reads; the source's rows are what they were."""
    source = old(done(30), done(40))
    before = replace(source, trials=[replace(t) for t in source.trials])
    take_over(new(), [source])
    assert source == before
    assert math.isfinite(source.trials[0].metrics["segm/AP50"])
