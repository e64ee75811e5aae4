"""Shares of the pool, for any sweeps that want it."""

from hypothesis import given, settings
from hypothesis import strategies as st

from sweeps.core.sharing import Candidate, arrange, join_at

QUANTUM_S, STEP_S, STEPS = 60.0, 10.0, 3000


def simulate(weights, demand=1.0, priorities=None, steps=STEPS):
    """GPU-seconds of each sweep, on a pool of one device, after so many steps; who leaves takes one more."""
    names = [f"s{n}" for n in range(len(weights))]
    used = dict.fromkeys(names, 0.0)
    alive, leaving = set(), set()
    for _ in range(steps):
        candidates = [
            Candidate(
                name,
                priorities[n] if priorities else 0,
                weights[n],
                used[name] / weights[n],
                demand,
                name in alive,
                float(n),
                name in leaving,
            )
            for n, name in enumerate(names)
        ]
        arrangement = arrange(candidates, quantum_s=QUANTUM_S)
        alive -= leaving
        leaving = set(arrangement.leave)
        alive |= set(arrangement.start)
        assert demand * len(alive) <= 1 + 1e-6, "more than there is"
        for name in alive:
            used[name] += STEP_S * demand
    return used


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(1.0, 8.0), min_size=2, max_size=5))
def test_shares_converge_to_the_weights(weights):
    """Each sweep gets of what was used its weight's part, to a few quanta."""
    used = simulate(weights)
    whole = sum(used.values())
    assert whole > 0.75 * STEPS * STEP_S, "the pool is hardly ever idle"
    for name, weight in zip(used, weights, strict=True):
        share = weight / sum(weights)
        assert abs(used[name] - share * whole) <= 4 * (QUANTUM_S + STEP_S) * len(weights)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(1.0, 2.0), min_size=4, max_size=6))
def test_shares_converge_where_two_run_at_once(weights):
    """Where no sweep's share is more than it can hold."""
    used = simulate(weights, demand=0.5)
    whole = sum(used.values())
    for name, weight in zip(used, weights, strict=True):
        if weight / sum(weights) < 0.45:
            assert abs(used[name] - weight / sum(weights) * whole) <= 4 * (QUANTUM_S + STEP_S) * len(weights)


SWEEPS = st.tuples(
    st.integers(-2, 2), st.floats(0.5, 4.0), st.floats(0, 1e4), st.floats(0.1, 1.0), st.booleans()
)


@given(st.lists(SWEEPS, max_size=8))
def test_what_is_arranged_fits_and_is_asked_of_those_who_can(sweeps):
    """Those that shall run fit; started ones did not run; nobody leaves for nobody."""
    candidates = [
        Candidate(f"s{n}", priority, weight, virtual_s, demand, alive, float(n))
        for n, (priority, weight, virtual_s, demand, alive) in enumerate(sweeps)
    ]
    by_name = {one.sweep_id: one for one in candidates}
    arrangement = arrange(candidates, quantum_s=QUANTUM_S)
    assert sum(by_name[name].demand for name in arrangement.run) <= 1 + 1e-6
    assert all(not by_name[name].alive and name in arrangement.run for name in arrangement.start)
    for name, for_whom in arrangement.leave.items():
        assert by_name[name].alive
        assert name not in arrangement.run
        assert not by_name[for_whom].alive
    first = max((one.priority for one in candidates), default=0)
    assert not candidates or any(by_name[name].priority == first for name in arrangement.run)


def test_a_higher_priority_takes_over_at_once():
    """However much it has used, and however little the others have."""
    running = Candidate("low", 0, 1.0, 0.0, 1.0, True, 0.0)
    urgent = Candidate("high", 1, 1.0, 1e9, 1.0, False, 1.0)
    arrangement = arrange([running, urgent])
    assert (arrangement.leave, arrangement.start) == ({"low": "high"}, ())
    gone = Candidate("low", 0, 1.0, 0.0, 1.0, False, 0.0)
    assert arrange([gone, urgent]).start == ("high",)


def test_who_joins_begins_level_with_the_others():
    """It does not get all that it missed before it came."""
    at = join_at([100.0, 300.0], used_s=50.0, weight=2.0)
    assert at + 50.0 / 2.0 == 100.0
    assert join_at([], used_s=0.0, weight=1.0) == 0.0
