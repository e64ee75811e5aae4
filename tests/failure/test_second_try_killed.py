"""kill -9 of a driver before and after each commit of a sweep whose trials run out of memory."""

import pytest

from sweeps.core.states import TrialState
from tests.failure.lives import Kill
from tests.failure.verdict import course

pytestmark = pytest.mark.slow  # some hundred processes

NEEDS = {1: 1.0, 2: 2.0}  # a full device; more than there is


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_second_try_is_alone_whenever_the_driver_was_killed(sweeps, when):
    """What ran out of memory has a full device from then on, in each attempt, and one second try in all."""
    straight = sweeps.create()
    life = sweeps.live(straight, f"{when}-straight", needs=NEEDS)
    assert life.code == 0
    undisturbed = course(sweeps.service, straight)
    assert undisturbed.ends[1][0] in (TrialState.COMPLETED, TrialState.PRUNED)
    assert undisturbed.ends[2] == (
        TrialState.INFEASIBLE,
        2,
        "out_of_memory: planned (alone on a full device; before: out_of_memory: planned)",
    )
    mirrored = False
    for commit in sweeps.sampled(range(1, life.commits + 1)):
        sweep_id, name = sweeps.create(), f"{when}-oom-{commit}"
        assert sweeps.live(sweep_id, name, Kill(when, commit), needs=NEEDS).code == -9
        half_way = any(t.second_try and not t.state.terminal for t in sweeps.service.trials(sweep_id))
        if half_way and not mirrored:
            mirrored = True
            sweeps.mirror(sweep_id)
        if (when, commit) != ("after", life.commits):
            assert sweeps.live(sweep_id, name, needs=NEEDS).code == 0
        sweeps.assert_nothing_lost(sweep_id, name, undisturbed=undisturbed)
        assert_alone(sweeps.service, sweep_id)
    assert mirrored


def assert_alone(service, sweep_id):
    """An attempt holds a half until its trial has run out of memory, and all of a device after that."""
    out, held = set(), {}
    for event in service.events(sweep_id):
        if event.kind == "trial.started":
            held[event.number, event.attempt] = 1.0 if event.number in out else 0.5
        elif event.data.get("second_try") == "device":
            assert event.number not in out
            out.add(event.number)
    assert out == set(NEEDS)
    assert {(a.number, a.attempt): a.gpus for a in service.attempts(sweep_id)} == held
