"""Plans: bounds that hold, budgets that cut, and a forecast by the sweep's own pruner."""

import json
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeps.cli.plan import plan_document
from sweeps.core.plan import Costs, Probe, Slots, Span, make_plan, span_of
from sweeps.core.states import TrialState
from sweeps.forecast import passing
from sweeps.samplers.sampler import OptunaSampler
from sweeps.testing import make_spec

NOW = 1_800_000_000.0
ONE = Span(1.0, 1.0, 1.0)
COSTS = Costs(Span(0.5, 1.0, 2.0), Span(5.0, 10.0, 20.0), Span(1.0, 1.0, 1.0), 10**9, "a test")
EXACT = Costs(ONE, Span(10.0, 10.0, 10.0), Span(0.0, 0.0, 0.0), 10**9, "a test")
ALL = [ONE, ONE, ONE]


def plan(costs=COSTS, passed=None, workers=2, gpus=1.0, kept=1, **sections):
    return make_plan(make_spec(**sections), costs, passed or ALL, Slots(workers, gpus), kept=kept, now=NOW)


def test_a_sweep_without_pruning_is_counted_exactly():
    found = plan(EXACT, pruner={"type": "none"}, budget={"trials": 10}, workers=1)
    assert (found.trials, found.limited_by) == (10, "trials")
    assert found.iterations == Span(3000.0, 3000.0, 3000.0)
    assert found.worker_hours.low == found.worker_hours.high == pytest.approx((3000 + 10 * 3 * 10) / 3600)
    assert found.per_rung == {75: Span(10, 10, 10), 150: Span(10, 10, 10), 300: Span(10, 10, 10)}


def test_two_on_a_device_take_half_its_hours():
    whole, half = plan(EXACT, gpus=1.0), plan(EXACT, gpus=0.5)
    assert half.gpu_hours.middle == pytest.approx(whole.gpu_hours.middle / 2)
    assert half.worker_hours == whole.worker_hours


def test_a_limit_cuts_the_trials_and_is_named():
    hours = plan(EXACT, budget={"trials": 10}).gpu_hours.middle
    found = plan(EXACT, budget={"trials": 10, "gpu_hours": hours / 2})
    assert (found.limited_by, found.trials) == ("gpu_hours", 5)
    assert found.gpu_hours.high <= hours / 2 + 2 * (150 + 10) / 3600
    assert plan(EXACT, budget={"trials": 10, "wall": "10m"}).limited_by == "wall"
    tight = plan(EXACT, budget={"trials": 10, "wall": "10m", "gpu_hours": 0.01})
    assert tight.limited_by == "gpu_hours"


def test_a_deadline_counts_from_now():
    found = plan(EXACT, budget={"trials": 1000, "deadline": "08:10 UTC"})  # NOW is 08:00
    assert (found.limited_by, found.trials) == ("deadline", round(1000 * 600 * 2 / (1000 * 330)))


def test_a_small_space_ends_the_sweep_before_the_budget_does():
    found = plan(EXACT, space={"mask_head.conv_dim": {"choices": [32, 64, 128]}}, budget={"trials": 10})
    assert (found.trials, found.limited_by) == (3, "space")


def test_without_a_gpu_no_budget_of_gpu_hours_cuts():
    found = plan(EXACT, gpus=0.0, budget={"trials": 10, "gpu_hours": 0.01})
    assert found.limited_by == "trials"
    assert found.gpu_hours == found.worker_hours


def test_disk_holds_two_checkpoints_of_what_runs_and_what_is_kept():
    found = plan(EXACT, workers=3, kept=2)
    assert found.disk_gb == Span(2.0, 5.0, 8.0)


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
        assert big.low >= small.low
        assert big.high >= small.high


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
    assert spans[-1].low < 1


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
        assert span.low - 0.05 <= count / 80 <= span.high + 0.05


def test_the_document_is_json_with_the_promised_keys():
    found = plan(EXACT)
    probe = Probe((), (), 3, 13, 2_000_000_000)
    document = json.loads(json.dumps(plan_document(found, EXACT, probe, Slots(2, 0.5))))
    assert {"trials", "iterations", "gpu_hours", "infeasible"} <= document.keys()
    assert document["gpu_hours"].keys() == {"low", "high"}
    assert document["peak_memory_gb"] == 2.0
    assert document["corners"] == {"checked": 3, "of": 13}
