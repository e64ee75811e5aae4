"""A sweep at a glance."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from sweeps.core.finals import Finals
from sweeps.core.progress import Overview
from sweeps.core.ranking import leader
from sweeps.core.replicates import replicate_number, searched
from sweeps.core.states import TrialState
from sweeps.testing import make_spec

PLAIN, AGAIN = Finals(make_spec()), Finals(make_spec(replicates={"runs": 3, "finalists": 2}))
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
    replicate_of: int | None = None


def overview(finals=PLAIN):
    return Overview(finals, rungs=RUNGS, workers=2)


@st.composite
def histories(draw, again=False):
    """Moments of one sweep: trials join, go on, and end once; `again`: some of them are replicates."""
    now, moments = {}, []
    for _ in range(draw(st.integers(1, 12))):
        for number in [n for n, t in now.items() if not t.state.terminal]:
            state = draw(st.sampled_from(list(TrialState)))
            metrics = draw(st.sampled_from([{}, {"segm/AP": 1.0}, {"segm/AP": 2.0}, {"segm/AP": 3.0}]))
            of = now[number].replicate_of
            done = draw(st.sampled_from((0, *RUNGS)))
            now[number] = Entry(number, state, done, 1.0, metrics, 3, replicate_of=of)
        own = len(searched(now.values()))
        number, of = own, None
        over = [t.number for t in searched(now.values()) if t.state is TrialState.COMPLETED]
        if again and over and draw(st.booleans()):
            of = draw(st.sampled_from(over))
            number = replicate_number(of, 1 + sum(t.replicate_of == of for t in now.values()))
        now[number] = Entry(number, TrialState.RUNNING, replicate_of=of)
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
        best, kept = leader(trials, PLAIN.objectives), leader(ended, PLAIN.objectives)
        assert seen.ended == {t.number for t in ended}
        assert (seen.best and seen.best.number) == (best and best.number)
        assert seen.kept == (((kept.number,),) if kept else ())


@given(histories(again=True), st.booleans())
def test_with_replicates_too(moments, settled):
    """The leader is that of the rules, and so is what is worth keeping."""
    often = overview(AGAIN)
    for trials in moments:
        seen = often.at(trials, 20, settled=settled)
        assert seen == overview(AGAIN).at(trials, 20, settled=settled)
        best = AGAIN.leader(trials, settled=settled)
        assert (seen.best and seen.best.number) == (best and best.number)
        assert seen.kept == AGAIN.kept(trials, settled=settled)
        assert seen.done == sum(t.state.terminal for t in searched(trials))


def test_the_time_left_is_that_of_what_usual_trials_take():
    """Ended trials took 3 iterations on average at 2 s each; 1 of the open one's and 3 x 7 are to come."""
    ended = [Entry(n, TrialState.PRUNED, 3, 6.0, {"segm/AP": 1.0}, 3) for n in range(2)]
    now = overview().at([*ended, Entry(2, TrialState.RUNNING, 2, 4.0)], 10)
    assert now.left_s == 2.0 * (1 + 7 * 3) / 2
    assert now.counts == {TrialState.PRUNED: 2, TrialState.RUNNING: 1}
