import pytest

from sweeps.core.states import (
    ATTEMPT_TRANSITIONS,
    SWEEP_REOPENINGS,
    SWEEP_TRANSITIONS,
    TRIAL_REOPENINGS,
    TRIAL_TRANSITIONS,
    AttemptState,
    SweepState,
    TrialState,
)

TABLES = [
    (SweepState, SWEEP_TRANSITIONS, SweepState.PENDING),
    (TrialState, TRIAL_TRANSITIONS, TrialState.QUEUED),
    (AttemptState, ATTEMPT_TRANSITIONS, AttemptState.RUNNING),
]


@pytest.mark.parametrize(("states", "table", "first"), TABLES)
def test_every_state_has_a_row_and_can_be_reached(states, table, first):
    """No state is forgotten: each has a row, and a way leads to it from the first."""
    reached, todo = {first}, [first]
    while todo:
        for state in table[todo.pop()] - reached:
            reached.add(state)
            todo.append(state)
    assert set(table) == set(states)
    assert reached == set(states)


@pytest.mark.parametrize(("states", "table", "first"), TABLES)
def test_no_state_follows_itself(states, table, first):
    """A transition changes something."""
    assert [state for state in states if state in table[state]] == []


def test_only_what_has_ended_is_opened_again():
    """An extension leads from an end back to a state from which all goes on, and from nowhere else."""
    for table, again in ((SWEEP_REOPENINGS, SweepState.PAUSED), (TRIAL_REOPENINGS, TrialState.QUEUED)):
        assert all(state.terminal for state in table)
        assert set(table.values()) == {frozenset({again})}
    assert SweepState.CANCELLED not in SWEEP_REOPENINGS


def test_terminal_states_are_those_with_an_empty_row():
    """What is terminal is read from the tables."""
    assert {s for s in SweepState if s.terminal} == {
        SweepState.COMPLETED,
        SweepState.CANCELLED,
        SweepState.FAILED,
    }
    assert {s for s in TrialState if not s.terminal} == {TrialState.QUEUED, TrialState.RUNNING}
