"""States of sweeps, trials and attempts, and the literal tables of what may follow what."""

from enum import StrEnum


class SweepState(StrEnum):
    """Where a sweep is in its life."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    STOPPING = "STOPPING"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"

    @property
    def terminal(self) -> bool:
        """Whether nothing follows."""
        return not SWEEP_TRANSITIONS[self]


class TrialState(StrEnum):
    """Where a trial is in its life."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    PRUNED = "PRUNED"
    FAILED = "FAILED"
    INFEASIBLE = "INFEASIBLE"
    CANCELLED = "CANCELLED"

    @property
    def terminal(self) -> bool:
        """Whether nothing follows."""
        return not TRIAL_TRANSITIONS[self]


class AttemptState(StrEnum):
    """How an attempt stands."""

    RUNNING = "RUNNING"
    ENDED = "ENDED"  # the trial reached a terminal state in this attempt
    PAUSED = "PAUSED"  # stopped at a checkpoint, to be gone on with
    LOST = "LOST"  # its worker or its driver died, or it failed and is tried again


SWEEP_TRANSITIONS: dict[SweepState, frozenset[SweepState]] = {
    SweepState.PENDING: frozenset({SweepState.RUNNING, SweepState.CANCELLED, SweepState.FAILED}),
    SweepState.RUNNING: frozenset(
        {
            SweepState.PAUSED,
            SweepState.STOPPING,
            SweepState.COMPLETED,
            SweepState.CANCELLED,
            SweepState.FAILED,
        }
    ),
    SweepState.PAUSED: frozenset({SweepState.RUNNING, SweepState.STOPPING, SweepState.CANCELLED}),
    SweepState.STOPPING: frozenset({SweepState.COMPLETED, SweepState.CANCELLED, SweepState.FAILED}),
    SweepState.COMPLETED: frozenset(),
    SweepState.CANCELLED: frozenset(),
    SweepState.FAILED: frozenset(),
}

TRIAL_TRANSITIONS: dict[TrialState, frozenset[TrialState]] = {
    TrialState.QUEUED: frozenset({TrialState.RUNNING, TrialState.CANCELLED}),
    TrialState.RUNNING: frozenset(
        {
            TrialState.QUEUED,
            TrialState.COMPLETED,
            TrialState.PRUNED,
            TrialState.FAILED,
            TrialState.INFEASIBLE,
            TrialState.CANCELLED,
        }
    ),
    TrialState.COMPLETED: frozenset(),
    TrialState.PRUNED: frozenset(),
    TrialState.FAILED: frozenset(),
    TrialState.INFEASIBLE: frozenset(),
    TrialState.CANCELLED: frozenset(),
}

SWEEP_REOPENINGS: dict[SweepState, frozenset[SweepState]] = {
    SweepState.COMPLETED: frozenset({SweepState.PAUSED}),
    SweepState.FAILED: frozenset({SweepState.PAUSED}),
}
"""The one way back from an end: for a sweep that a limit of its budget ended, or that nothing could drive,"""

TRIAL_REOPENINGS: dict[TrialState, frozenset[TrialState]] = {
    TrialState.CANCELLED: frozenset({TrialState.QUEUED}),
}
"""and with it the trials that were cut off wait for a turn again."""

ATTEMPT_TRANSITIONS: dict[AttemptState, frozenset[AttemptState]] = {
    AttemptState.RUNNING: frozenset({AttemptState.ENDED, AttemptState.PAUSED, AttemptState.LOST}),
    AttemptState.ENDED: frozenset(),
    AttemptState.PAUSED: frozenset(),
    AttemptState.LOST: frozenset(),
}
