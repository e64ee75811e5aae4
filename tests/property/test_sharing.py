"""Shares of the pool, for any sweeps that want it."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sweeps.core.sharing import Candidate, arrange, level
from sweeps.core.spec import Resources
from sweeps.core.states import SweepState
from sweeps.core.supervision import LaunchState, Rules, View
from sweeps.store.watched import LaunchRecord, Watched
from sweeps.supervisor.pool import Pool

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
    """It does not get all that it missed before it came, whether anybody is there or all are paused."""
    assert level([100.0, 300.0], [900.0]) == 100.0
    assert level([], [900.0, 50.0]) == 900.0
    assert level([], []) == 0.0


class Book:
    """Keeps what a pool writes down of sweeps."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Any]] = {}

    def put(self, sweep_id: str, **values: Any) -> None:
        self.rows.setdefault(sweep_id, {}).update(values)


def seen(name: str, number: int, weight: float, used_s: float, row: dict[str, Any], *, held: bool) -> Watched:
    """A sweep as its pool sees it."""
    launch = LaunchRecord(
        name,
        1,
        LaunchState.WAITING,
        None,
        None,
        None,
        failures=0,
        refused=0,
        retry_at=None,
        stopped_at=None,
        reason=None,
    )
    return Watched(
        launch,
        SweepState.PAUSED,
        1,
        None,
        used_s,
        None,
        float(number),
        0,
        weight,
        None,
        "ann" if held else None,
        row.get("share_from"),
        bool(row.get("rejoins")),
        None,
        None,
        left=False,
    )


def play(weights, away, steps=1500):
    """GPU-seconds of each sweep after each step; the first one is paused while it is `away`, by its user.

    Who has the pool takes a step to leave it, and who is paused and resumed comes back as the store says it.
    """
    book, names = Book(), [f"s{number}" for number in range(len(weights))]
    pool = Pool(None, QUANTUM_S, lambda _: Resources(gpus_per_trial=1), book)
    used, alive, leaving, history = dict.fromkeys(names, 0.0), set(), set(), []
    for step in range(steps):
        held = {names[0]} if away(step) else set()
        if step and away(step - 1) and not held:
            book.put(names[0], rejoins=1)
        leaving |= alive & held
        watched = [
            seen(name, n, weights[n], used[name], book.rows.get(name, {}), held=name in held)
            for n, name in enumerate(names)
        ]
        views = {
            name: View(
                LaunchState.RUNNING if name in alive else LaunchState.WAITING,
                SweepState.RUNNING if name in alive else SweepState.PAUSED,
                alive=name in alive,
                held=name in held,
                asked_at=0.0 if name in leaving else None,
            )
            for name in names
        }
        arrangement = pool.arrange(watched, views, float(step), Rules())
        alive -= leaving
        leaving = set(arrangement.leave)
        alive |= set(arrangement.start)
        for name in alive:
            used[name] += STEP_S
        history.append(used["s0"])
    return history


PAUSES = st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60)), min_size=1, max_size=40)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0.5, 4.0), min_size=2, max_size=4), PAUSES)
def test_whoever_pauses_and_resumes_gains_nothing_and_owes_no_more(weights, pauses):
    """It has no more of the pool than had it stayed, and its share again from when it is back for good."""
    gone, at = set(), 0
    for there, away in pauses:
        at += there
        gone |= set(range(at, at + away))
        at += away
    slack = 6 * (QUANTUM_S + STEP_S) * len(weights) * max(1.0, weights[0] / min(weights))
    stayed, paused = play(weights, lambda _: False), play(weights, gone.__contains__)
    assert paused[-1] <= stayed[-1] + slack
    back = max(gone) + 1
    if back < len(paused):
        share = weights[0] / sum(weights)
        since, whole = paused[-1] - paused[back], (len(paused) - back) * STEP_S
        assert share * 0.75 * whole - slack <= since <= share * whole + slack


def test_what_a_sweep_was_ahead_it_still_is_after_a_pause():
    """Else its user would pause and resume it whenever the pool is another one's turn, and have it all."""
    greedy = play([1.0, 1.0], lambda step: step % 8 == 7)
    assert greedy[-1] <= play([1.0, 1.0], lambda _: False)[-1] + 4 * QUANTUM_S


def test_a_long_pause_gains_nothing():
    """Else the others would have nothing of the pool for as long as the one that is back was away."""
    history = play([1.0, 1.0], range(100, 900).__contains__)
    assert abs(history[-1] - history[900] - 300 * STEP_S) <= 3 * QUANTUM_S


def test_who_comes_while_all_are_paused_begins_where_they_were():
    """Else one that has used much alone would wait for as long as it ran, for who came in its pause."""
    book = Book()
    pool = Pool(None, QUANTUM_S, lambda _: Resources(gpus_per_trial=1), book)
    book.put("s0", share_from=0.0)
    waits, held = (
        View(LaunchState.WAITING, SweepState.PAUSED),
        View(LaunchState.WAITING, SweepState.PAUSED, held=True),
    )
    old = seen("s0", 0, 1.0, 3600.0, book.rows["s0"], held=True)
    pool.arrange([old, seen("s1", 1, 1.0, 0.0, {}, held=False)], {"s0": held, "s1": waits}, 0.0, Rules())
    assert book.rows["s1"]["share_from"] == 3600.0
    book.put("s0", rejoins=1)
    back = seen("s0", 0, 1.0, 3600.0, book.rows["s0"], held=False)
    others = seen("s1", 1, 1.0, 500.0, book.rows["s1"], held=False)
    pool.arrange([back, others], {"s0": waits, "s1": waits}, 0.0, Rules())
    assert book.rows["s0"] == {"share_from": 500.0, "rejoins": 0}, "level with who went on"
