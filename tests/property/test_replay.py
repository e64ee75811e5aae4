"""A driver that restarts suggests what one that did not would, whatever happened to the trials in between."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeps.core.states import TrialState
from sweeps.testing import make_spec
from tests.unit.test_sampler import BOUND, TWO, Game, answer

SAMPLERS = {
    "tpe": {"type": "tpe", "startup_trials": 4},
    "tpe, not joint": {"type": "tpe", "startup_trials": 4, "multivariate": False, "constant_liar": False},
    "nsga2": {"type": "nsga2", "population": 3},
    "nsga3": {"type": "nsga3", "population": 3},
    "cma_es": {"type": "cma_es", "startup_trials": 2, "population": 4},
    "random": {"type": "random"},
    "qmc": {"type": "qmc"},
    "grid": {"type": "grid", "points": 2},
}
ENDS = [TrialState.INFEASIBLE, TrialState.FAILED, TrialState.CANCELLED]
START, MEASURE, MISS, *LAST = range(3 + len(ENDS))
CHANCES = [START, START, MEASURE, MEASURE, MEASURE, MISS, *LAST]

# what happens, to which of the running trials, and whether the driver dies first
EVENTS = st.lists(
    st.tuples(st.sampled_from(CHANCES), st.integers(0, 3), st.booleans()),
    min_size=20,
    max_size=60,
)


def played(spec, events, *, dying: bool):
    """The rows at the end; each event changes something if it can."""
    game = Game(spec, workers=4)
    for event, whose, dies in events:
        if dying and dies:
            game.restart()
        running = [trial for trial in game.trials.values() if trial.state is TrialState.RUNNING]
        if not running or (event == START and len(running) < game.workers):
            game.start()
            continue
        trial = running[whose % len(running)]
        if event in LAST:
            game.end(trial.number, ENDS[LAST.index(event)], trial.metrics, trial.iteration)
            continue
        iteration = min(rung for rung in game.rungs if rung > trial.iteration)
        metrics = answer(trial.params, iteration)
        if event == MISS:
            del metrics["segm/AP"]
        game.report(trial.number, iteration, metrics)
    game.start()
    return list(game.trials.values())


@pytest.mark.parametrize("how", SAMPLERS.values(), ids=SAMPLERS)
@settings(max_examples=12, deadline=None)
@given(EVENTS, st.booleans(), st.booleans(), st.integers(0, 2**31 - 1))
def test_a_restart_at_any_time_changes_no_suggestion(how, events, several, bound, seed):
    """With several workers, trials that end in every way, and rungs that measured nothing."""
    several = how["type"] == "nsga3" or (several and how["type"] != "cma_es")
    sections = {"objectives": TWO} if several else {}
    sections |= {"constraints": BOUND} if bound else {}
    spec = make_spec(sampler={**how, "seed": seed}, **sections)
    assert played(spec, events, dying=True) == played(spec, events, dying=False)
