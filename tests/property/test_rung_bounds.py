"""How many trials come to each rung: made-up sweeps of any values, in any order, against the bounds."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeps.core.details import EvaluationDetails, ImageScores
from sweeps.core.states import TrialState
from sweeps.pruning.bounds import rung_bounds
from sweeps.samplers.sampler import OptunaSampler
from sweeps.testing import make_spec

TWO = [{"metric": "segm/AP"}, {"metric": "segm/APs"}]
KEPT = [{"metric": "segm/APs", "min": 50}]
SIZE = [{"metric": "model/parameters", "max": 50}]
PRUNERS = {
    "successive halving": {"pruner": {"type": "successive_halving"}},
    "successive halving, two": {"pruner": {"type": "successive_halving"}, "objectives": TWO},
    "successive halving, bound": {"pruner": {"type": "successive_halving"}, "constraints": KEPT},
    "successive halving, size": {"pruner": {"type": "successive_halving"}, "constraints": SIZE},
    "hyperband": {"pruner": {"type": "hyperband", "reduction_factor": 2}},
    "hyperband, two": {"pruner": {"type": "hyperband", "reduction_factor": 2}, "objectives": TWO},
    "median": {"pruner": {"type": "median", "startup_trials": 2, "warmup_rungs": 1}},
    "median, two": {"pruner": {"type": "median", "startup_trials": 3}, "objectives": TWO},
    "percentile": {"pruner": {"type": "percentile", "percentile": 60, "startup_trials": 1}},
    "patient": {"pruner": {"type": "patient", "patience": 1}},
    "patient, median": {"pruner": {"type": "patient", "inner": "median", "startup_trials": 2}},
    "wilcoxon": {"pruner": {"type": "wilcoxon", "startup_trials": 1, "min_images": 5}},
    "none": {"pruner": {"type": "none"}, "constraints": SIZE},
}
RUNGS = (50, 100, 200, 400)
every_pruner = pytest.mark.parametrize("sections", PRUNERS.values(), ids=PRUNERS)


def spec_of(trials, sections):
    return make_spec(
        sampler={"type": "random"},
        fidelity={"iterations": RUNGS[-1], "rungs": list(RUNGS)},
        budget={"trials": trials},
        **sections,
    )


def came(spec, values, *, workers=1, turn=lambda running: 0):
    """How many trials come to each rung: `values[trial][rung]` is what a trial measures there, 0 to 100."""
    sampler, counts = OptunaSampler(spec, 0), [0] * len(RUNGS)
    waiting, running = list(range(spec.budget.trials)), list[list[int]]()
    while waiting or running:
        while waiting and len(running) < workers:
            sampler.suggest(waiting[0])
            running.append([waiting.pop(0), 0])
        here = turn(len(running))
        number, rung = running[here]
        counts[rung] += 1
        value = float(values[number][rung])
        metrics = {"segm/AP": value, "segm/APs": 100 - value, "model/parameters": value}
        scores = ImageScores(tuple(range(8)), tuple(value * (image + 1) / 8 for image in range(8)))
        said = sampler.observe(number, RUNGS[rung], metrics, EvaluationDetails(images=scores))
        running[here][1] += 1
        if said is not None or running[here][1] == len(RUNGS):
            state = TrialState.COMPLETED if said is None else TrialState.PRUNED
            sampler.finish(number, state, metrics)
            del running[here]
    return counts


@every_pruner
@settings(max_examples=25, deadline=None, derandomize=True)
@given(data=st.data())
def test_no_sweep_is_out_of_bounds(sections, data):
    """Whatever trials measure, and whichever worker is faster, as many come to a rung as was said."""
    trials, workers = data.draw(st.integers(1, 10)), data.draw(st.integers(1, 3))
    values = data.draw(
        st.lists(
            st.lists(st.integers(0, 100), min_size=len(RUNGS), max_size=len(RUNGS)),
            min_size=trials,
            max_size=trials,
        )
    )
    spec = spec_of(trials, sections)

    def turn(running):
        return data.draw(st.integers(0, running - 1))

    for count, (fewest, most) in zip(
        came(spec, values, workers=workers, turn=turn), rung_bounds(spec, spec.budget.trials), strict=True
    ):
        assert fewest <= count <= most


@pytest.mark.parametrize("name", ["successive halving", "hyperband", "median", "percentile", "none"])
def test_the_bounds_are_no_wider_than_need_be(name):
    """Trials that become worse and worse are as few as said, those that become better as many."""
    sections = {**PRUNERS[name], "constraints": []}
    spec = spec_of(12, sections)
    fewest, most = zip(*rung_bounds(spec, spec.budget.trials), strict=True)
    assert came(spec, [[90 - 5 * number] * 4 for number in range(12)]) == list(fewest)
    assert came(spec, [[5 * number] * 4 for number in range(12)]) == list(most)


def test_a_bound_that_training_does_not_mend_may_stop_all():
    """Models that are all too large stop at their first rung; without a pruner nothing stops them."""
    too_large = [[99] * 4] * 6
    spec = spec_of(6, PRUNERS["successive halving, size"])
    assert came(spec, too_large) == [few for few, _ in rung_bounds(spec, spec.budget.trials)] == [6, 0, 0, 0]
    assert came(spec_of(6, PRUNERS["none"]), too_large) == [6, 6, 6, 6]
