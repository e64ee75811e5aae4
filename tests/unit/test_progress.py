"""A sweep at a glance."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from sweeps.core.budget import Goal
from sweeps.core.progress import Overview
from sweeps.core.ranking import leader
from sweeps.core.states import TrialState

OBJECTIVES = (("segm/AP", Goal.MAXIMIZE),)
RUNGS = (1, 3, 9)


@dataclass(frozen=True)
class Entry:
    number: int
    state: TrialState
    iteration: int = 0
    worker_s: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)
    measured_iteration: int = 0
    reason: str | None = None


def overview():
    return Overview(OBJECTIVES, (), rungs=RUNGS, workers=2)


@st.composite
def histories(draw):
    """Moments of one sweep: trials join, go on, and end once."""
    now, moments = {}, []
    for _ in range(draw(st.integers(1, 12))):
        for number in [n for n, t in now.items() if not t.state.terminal]:
            state = draw(st.sampled_from(list(TrialState)))
            metrics = draw(st.sampled_from([{}, {"segm/AP": 1.0}, {"segm/AP": 2.0}, {"segm/AP": 3.0}]))
            now[number] = Entry(number, state, draw(st.sampled_from((0, *RUNGS))), 1.0, metrics, 3)
        now[len(now)] = Entry(len(now), TrialState.RUNNING)
        moments.append(list(now.values()))
    return moments


@given(histories())
def test_looking_often_shows_what_looking_once_does(moments):
    """What was seen before does not change what is seen now."""
    often = overview()
    for trials in moments:
        seen = often.at(trials, 20)
        assert seen == overview().at(trials, 20)
        ended = [t for t in trials if t.state.terminal]
        best, kept = leader(trials, OBJECTIVES), leader(ended, OBJECTIVES)
        assert seen.ended == {t.number for t in ended}
        assert (seen.best and seen.best.number) == (best and best.number)
        assert seen.kept == (kept.number if kept else None)


def test_the_time_left_is_that_of_what_usual_trials_take():
    """Ended trials took 3 iterations on average at 2 s each; 1 of the open one's and 3 x 7 are to come."""
    ended = [Entry(n, TrialState.PRUNED, 3, 6.0, {"segm/AP": 1.0}, 3) for n in range(2)]
    now = overview().at([*ended, Entry(2, TrialState.RUNNING, 2, 4.0)], 10)
    assert now.left_s == 2.0 * (1 + 7 * 3) / 2
    assert now.counts == {TrialState.PRUNED: 2, TrialState.RUNNING: 1}
