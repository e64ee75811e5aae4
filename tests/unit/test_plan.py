"""Plans: bounds that hold, budgets that cut, and a forecast by the sweep's own pruner."""

import json
import random
from io import StringIO
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from runners import checkpoints
from sweeps.cli.plan_view import (
    Planned,
    infeasible_lines,
    nothing_timed,
    plan_document,
    plan_hints,
    plan_table,
    print_plan,
)
from sweeps.core.plan import Costs, Infeasible, Probe, Slots, Span, exactly, span_of
from sweeps.core.planning import BEAT_S, STARTING_S, TRIAL_CHECKPOINTS, make_plan
from sweeps.core.states import TrialState
from sweeps.forecast import passing, trials_of
from sweeps.samplers.sampler import OptunaSampler
from sweeps.testing import make_spec

NOW = 1_800_000_000.0
ONE = Span(1.0, 1.0, 1.0)
COSTS = Costs(Span(0.5, 1.0, 2.0), Span(5.0, 10.0, 20.0), Span(1.0, 1.0, 1.0), 10**9, "a test")
EXACT = Costs(ONE, Span(10.0, 10.0, 10.0), Span(0.0, 0.0, 0.0), 10**9, "a test")
ALL = [ONE, ONE, ONE]


def plan(costs=COSTS, passed=None, workers=2, gpus=1.0, kept=1, **sections):
    spec = make_spec(**sections)
    how = {"trials": trials_of(spec), "kept": kept, "now": NOW}
    return make_plan(spec, costs, passed or ALL, Slots(workers, gpus), **how)


def test_a_sweep_without_pruning_is_counted_exactly():
    found = plan(EXACT, pruner={"type": "none"}, budget={"trials": 10}, workers=1)
    assert (found.trials, found.limited_by) == (exactly(10), "trials")
    assert found.iterations == exactly(3000)
    assert found.worker_hours.low == found.worker_hours.high == pytest.approx((3000 + 10 * 3 * 10) / 3600)
    assert found.per_rung == {75: exactly(10), 150: exactly(10), 300: exactly(10)}
    assert found.wall_s.low == STARTING_S.low + 3300


def test_finalists_are_trained_again_in_full_and_evaluated_once():
    how = {"pruner": {"type": "none"}, "budget": {"trials": 10}, "workers": 1}
    found = plan(EXACT, replicates={"runs": 3, "finalists": 2}, **how)
    assert (found.trials, found.replicates) == (exactly(10), exactly(4))
    assert found.iterations == exactly(3000 + 4 * 300)
    extra = found.worker_hours.middle - plan(EXACT, **how).worker_hours.middle
    assert extra == pytest.approx(4 * (300 + 10) / 3600)
    bound = [{"metric": "model/parameters", "max": 1}]  # nobody may keep it
    assert plan(EXACT, replicates=2, constraints=bound, **how).replicates == Span(0, 3, 3)


def test_two_on_a_device_take_half_its_hours():
    whole, half = plan(EXACT, gpus=1.0), plan(EXACT, gpus=0.5)
    assert half.gpu_hours.middle == pytest.approx(whole.gpu_hours.middle / 2)
    assert half.worker_hours == whole.worker_hours


def test_a_limit_cuts_the_trials_and_is_named():
    hours = plan(EXACT, budget={"trials": 10}).gpu_hours.middle
    found = plan(EXACT, budget={"trials": 10, "gpu_hours": hours / 2})
    assert (found.limited_by, found.trials.middle) == ("gpu_hours", 5)
    assert found.gpu_hours.low == pytest.approx(hours / 2)
    assert found.gpu_hours.high <= hours / 2 + 2 * (BEAT_S + 1 + 10) / 3600
    assert found.iterations.middle == pytest.approx(1500)
    assert plan(EXACT, budget={"trials": 10, "wall": "10m"}).limited_by == "wall"
    tight = plan(EXACT, budget={"trials": 10, "wall": "10m", "gpu_hours": 0.01})
    assert tight.limited_by == "gpu_hours"


def test_a_limit_that_may_cut_leaves_all_trials_possible():
    """Cheap trials all fit, dear ones do not: the interval says both."""
    found = plan(COSTS, pruner={"type": "none"}, budget={"trials": 10, "gpu_hours": 1.0}, gpus=1.0)
    assert (found.limited_by, found.trials.high) == ("trials", 10)
    assert found.trials.low < 10
    assert found.gpu_hours.low < 1.0 < found.gpu_hours.high


def test_a_deadline_counts_from_now():
    found = plan(EXACT, budget={"trials": 1000, "deadline": "08:10 UTC"})  # NOW is 08:00
    assert found.limited_by == "deadline"
    assert found.trials.middle == round((600 - STARTING_S.middle) * 2 / 330)
    assert found.wall_s.middle == 600


def test_a_small_space_ends_the_sweep_before_the_budget_does():
    space = {"mask_head.conv_dim": {"choices": [32, 64, 128]}}
    found = plan(EXACT, space=space, budget={"trials": 10})
    assert (found.trials, found.limited_by) == (exactly(3), "space")


def test_a_grid_has_an_end_where_ranges_have_none():
    space = {"solver.base_lr": {"low": 0.001, "high": 0.01}}
    spec = make_spec(space=space, sampler={"type": "grid", "points": 4}, budget={"trials": 10})
    assert trials_of(spec) == 4
    assert trials_of(make_spec(space=space, budget={"trials": 10})) == 10


def test_without_a_gpu_no_budget_of_gpu_hours_cuts():
    found = plan(EXACT, gpus=0.0, budget={"trials": 10, "gpu_hours": 0.01})
    assert found.limited_by == "trials"
    assert found.gpu_hours == found.worker_hours


def test_disk_holds_what_runs_and_what_is_kept():
    """Two of what runs, one that each worker is writing, one of what is kept; in the end perhaps one."""
    found = plan(EXACT, workers=3, kept=2)
    assert found.disk_gb == Span(1.0, 8.0, 11.0)
    assert TRIAL_CHECKPOINTS == checkpoints.KEPT


@settings(deadline=None)
@given(
    trials=st.integers(1, 200),
    workers=st.integers(1, 8),
    shares=st.lists(st.floats(0, 1), min_size=2, max_size=2),
)
def test_low_is_never_above_high_and_more_trials_never_cost_less(trials, workers, shares):
    second, third = sorted(shares, reverse=True)
    passed = [ONE, Span(second / 2, second, 1.0), Span(third / 2, third, 1.0)]
    fewer = plan(passed=passed, workers=workers, budget={"trials": trials})
    more = plan(passed=passed, workers=workers, budget={"trials": trials + 1})
    for small, big in zip(
        (fewer.gpu_hours, fewer.wall_s, fewer.iterations),
        (more.gpu_hours, more.wall_s, more.iterations),
        strict=True,
    ):
        assert small.low <= small.middle <= small.high
        assert big.low >= small.low - 1e-9 * small.low
        assert big.high >= small.high - 1e-9 * small.high


def test_spans_are_in_order():
    assert span_of([3.0, 1.0, 2.0]) == Span(1.0, 2.0, 3.0)
    with pytest.raises(ValueError, match="low <= middle <= high"):
        Span(2.0, 1.0, 3.0)
    with pytest.raises(ValueError, match="no values"):
        span_of([])


@pytest.mark.parametrize("kind", ["successive_halving", "hyperband", "median", "percentile", "wilcoxon"])
def test_shares_fall_from_rung_to_rung(kind):
    spans = passing(make_spec(pruner={"type": kind}, budget={"trials": 60}))
    assert spans[0] == ONE
    for before, after in pairwise(spans):
        assert after.low <= before.low
        assert after.high <= before.high
    assert spans[-1].low < spans[-1].middle < 1


def test_without_a_pruner_all_come_to_the_end():
    assert passing(make_spec(pruner={"type": "none"})) == ALL


@pytest.mark.parametrize("objectives", [["segm/AP"], ["segm/AP", "boundary/AP"]])
def test_a_sweep_of_made_up_trials_lies_within_its_forecast(objectives):
    """Rungs agree in part only, which is between the stories."""
    spec = make_spec(objectives=[{"metric": name} for name in objectives], budget={"trials": 80})
    sampler, chance, came = OptunaSampler(spec, 3), random.Random(5), [0, 0, 0]
    for number in range(80):
        suggestion = sampler.suggest(number)
        assert suggestion is not None
        luck, state, metrics = chance.random(), TrialState.COMPLETED, {}
        for rung, iteration in enumerate(spec.fidelity.rungs):
            came[rung] += 1
            metrics = {name: 50 * (luck + chance.random() / 2) + 10 * rung for name in objectives}
            if sampler.observe(number, iteration, metrics) is not None:
                state = TrialState.PRUNED
                break
        sampler.finish(number, state, metrics)
    for count, span in zip(came, passing(spec), strict=True):
        assert span.low <= count / 80 <= span.high


def planned(probe=None, **sections):
    spec = make_spec(**sections)
    return Planned(spec, plan(EXACT, **sections), EXACT, probe, Slots(2, 0.5))


def test_the_document_is_json_with_the_promised_keys():
    broken = Infeasible({"mask_head.name": "pointrend"}, "does_not_build: no pyramid")
    probe = Probe((), (broken,), 3, 13, 2_000_000_000)
    document = json.loads(json.dumps(plan_document(planned(probe)), allow_nan=False))
    assert {"trials", "iterations", "gpu_hours", "infeasible"} <= document.keys()
    assert document["gpu_hours"].keys() == {"low", "high"}
    assert document["infeasible"] == [
        {"params": {"mask_head.name": "pointrend"}, "reason": "does_not_build: no pyramid"}
    ]
    assert document["peak_memory_gb"] == 2.0
    assert document["corners"] == {"checked": 3, "of": 13}
    assert plan_document(planned())["corners"] is None


def test_corners_that_fail_alike_are_one_line_with_what_they_share():
    failed = [
        Infeasible({"mask_head.name": "pointrend", "mask_head.conv_dim": width}, "no pyramid")
        for width in (32, 64)
    ]
    alone = Infeasible({"input.size": 4096}, "out_of_memory")
    assert list(infeasible_lines(Probe((), (*failed, alone), 3, 3, None))) == [
        "infeasible: mask_head.name pointrend (2 corners): no pyramid",
        "infeasible: input.size 4096: out_of_memory",
    ]


@pytest.mark.parametrize(
    ("infeasible", "notes", "message", "hint"),
    [
        (
            (),
            (),
            "no point of the space could be timed in 90 s",
            "give it more time with --probe-seconds 180",
        ),
        (
            ("does_not_build: no pyramid", "does_not_build: no pyramid", "out_of_memory: 3 GB"),
            (),
            "none of the 3 corners of the space can be trained: 2 x does_not_build: no pyramid;"
            " 1 x out_of_memory: 3 GB",
            "change the base or the space: no time would be enough",
        ),
        (
            ("out_of_memory: 3 GB",),
            (),
            "no point of the space could be timed in 90 s: 1 of 3 cannot be trained (out_of_memory: 3 GB)",
            "give it more time with --probe-seconds 180",
        ),
        (
            ("out_of_memory: 3 GB",),
            ("error: no data ({})", "error: no data ({})"),
            "no point of the space could be timed: error: no data ({}) (and 1 more)",
            "trials would end like that: mend it, or plan again if it was chance",
        ),
    ],
)
def test_where_nothing_could_be_timed_what_failed_is_said(infeasible, notes, message, hint):
    """More time is what it asks for only where time was what was wanting."""
    found = tuple(Infeasible({"input.size": size}, reason) for size, reason in enumerate(infeasible))
    error = nothing_timed(Probe((), found, 3, 3, None, notes), 90)
    assert (str(error), error.hint) == (message, hint)


def test_a_limit_that_comes_too_soon_is_told_with_what_all_the_trials_need():
    (hint,) = plan_hints(planned(budget={"trials": 100, "wall": "1h"}))
    assert hint.startswith("budget.wall comes after about 22 % of the trials; all of them need 4 h 3")
    assert not list(plan_hints(planned(budget={"trials": 2, "wall": "1h"})))
    (hint,) = plan_hints(planned(budget={"trials": 10, "gpu_hours": 0.5}))
    assert "all of them need 0.917 GPU-hours" in hint


def test_the_table_names_what_ends_the_sweep():
    console = Console(width=120, file=StringIO())
    console.print(plan_table(planned(budget={"trials": 100, "wall": "1h"})))
    text = console.file.getvalue()
    assert "budget.wall" in text
    assert "evaluated at 75 iterations" in text


def test_gpu_hours_that_limit_nothing_are_told_by_a_plan(capsys):
    """On a machine without GPUs in a line and in the document; where there is one nothing is said."""
    told = "budget.gpu_hours 8 limits nothing"
    spec, found = make_spec(budget={"gpu_hours": 8}), plan(EXACT)
    idle = Planned(spec, found, EXACT, None, Slots(2, 0.0))
    print_plan(idle)
    assert f"note: {told}" in capsys.readouterr().err
    (note,) = plan_document(idle)["notes"]
    assert note.startswith(told)
    assert plan_document(Planned(spec, found, EXACT, None, Slots(2, 0.5)))["notes"] == []
