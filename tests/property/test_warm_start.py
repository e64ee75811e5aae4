"""Whatever earlier sweeps and the new one are like, each of their trials has exactly one use, or a reason."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from sweeps.core.states import TrialState
from sweeps.core.trial import Measurement
from sweeps.records import TrialRecord
from sweeps.testing import make_spec
from sweeps.warm.comparable import Setting
from sweeps.warm.plan import plan_from_documents, summary_document, trials_document
from sweeps.warm.takeover import Source, take_over

PARAMS = {
    "mask_head.name": st.sampled_from(["stock", "strided", "pointrend"]),
    "mask_head.upsample_stride": st.sampled_from([1, 2, 4, 8]),
    "mask_head.num_conv": st.integers(0, 9),
    "solver.base_lr": st.sampled_from([0.00001, 0.001, 0.01]),
    "solver.momentum": st.just(0.9),
    "augment.brightness": st.sampled_from([0, 0.1, 0.15]),
}
ENDS = st.sampled_from(list(TrialState))


@st.composite
def sources(draw):
    """One to three earlier sweeps, comparable or not, with trials of all kinds."""
    found = []
    for place in range(draw(st.integers(1, 3))):
        fingerprint = draw(st.sampled_from(["data", "data", "others"]))
        trials, measurements = [], []
        for number in range(draw(st.integers(0, 8))):
            params = draw(st.fixed_dictionaries({}, optional=PARAMS))
            reached = (75, 150, 300)[: draw(st.integers(0, 3))]
            for rung in reached:
                metrics = draw(st.sampled_from([{"segm/AP": 1.0}, {"segm/AP": 2.0 + rung}, {"bbox/AP": 1.0}]))
                measurements.append(Measurement(number, 1, rung, 0.0, metrics))
            last = measurements[-1].metrics if reached else {}
            record = TrialRecord(
                number, draw(ENDS), None, params, 1, 1, 0, 0, None, 0, 0.0, 0.0, None, {}, last
            )  # fmt: skip
            trials.append(replace(record, measured_iteration=reached[-1] if reached else 0))
        setting = Setting(make_spec(), fingerprint, "base")
        found.append(Source(f"parts-{place}", setting, trials, measurements))
    return found


def plan_for(found, trials):
    spec = make_spec(warm_start={"from": ["parts-0"], "trials": trials})
    return spec, take_over(Setting(spec, "data", "base"), found)


@given(sources())
@settings(max_examples=150, deadline=None)
def test_every_trial_is_accounted_for(found):
    """With `all`: known, to be re-run or not usable, each once; and every parameter is of the new space."""
    spec, plan = plan_for(found, "all")
    used = [str(each.origin) for each in (*plan.known, *plan.reruns)]
    assert len(set(used)) == len(used)
    assert len(used) + sum(plan.summary.unused.values()) == sum(len(source.trials) for source in found)
    assert sum(plan.summary.known.values()) == len(plan.known)
    assert sum(plan.summary.rerun_reasons.values()) == len(plan.reruns)
    assert all(spec.space.contains(each.params) for each in plan.known)
    known = {p.name: p for p in spec.space.parameters}
    assert all(known[name].contains(value) for each in plan.reruns for name, value in each.params.items())
    keys = [sorted(each.params.items(), key=str) for each in (*plan.known, *plan.reruns)]
    assert all(key not in keys[:place] for place, key in enumerate(keys))
    assert plan_from_documents(summary_document(plan.summary), trials_document(plan)) == plan


@given(sources(), st.integers(1, 6))
@settings(max_examples=150, deadline=None)
def test_the_best_are_among_all(found, most):
    """`best N` takes N at most, and nothing that `all` could not use."""
    _, everything = plan_for(found, "all")
    _, best = plan_for(found, f"best {most}")

    def used(plan):
        return {tuple(sorted(each.params.items(), key=str)) for each in (*plan.known, *plan.reruns)}

    assert len(best.known) + len(best.reruns) <= most
    assert used(best) <= used(everything)
