"""What people may ask of a sweep while somebody else drives it, or while nobody does."""

from dataclasses import dataclass
from enum import StrEnum

from sweeps.core.states import SweepState


class RequestKind(StrEnum):
    """What is asked for."""

    PAUSE = "pause"
    CANCEL = "cancel"

    @property
    def aim(self) -> SweepState:
        """The state in which the request is fulfilled."""
        return SweepState.PAUSED if self is RequestKind.PAUSE else SweepState.CANCELLED


class RequestState(StrEnum):
    """How a request stands."""

    OPEN = "OPEN"  # the sweep's driver has not carried it out yet
    DONE = "DONE"
    VOID = "VOID"  # the sweep came to another end first


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    Attributes:
        request_id: Ascending over all sweeps.
        sweep_id: Of whom it is asked.
        kind: What is asked for.
        state: How it stands.
        reason: Why, as the sweep and its trials will tell it.
        by: Who asked, as `user@host`.
        at: When, in seconds since the Unix epoch.
        answered_at: When it became DONE or VOID, or None.
    """

    request_id: int
    sweep_id: str
    kind: RequestKind
    state: RequestState
    reason: str
    by: str
    at: float
    answered_at: float | None


ALLOWED: dict[RequestKind, frozenset[SweepState]] = {
    RequestKind.PAUSE: frozenset({SweepState.RUNNING}),
    RequestKind.CANCEL: frozenset(
        {SweepState.PENDING, SweepState.RUNNING, SweepState.PAUSED, SweepState.STOPPING}
    ),
}
"""States of a sweep in which a request changes something. In its `aim` it is fulfilled already."""


def refusal(kind: RequestKind, state: SweepState, reason: str | None) -> str | None:
    """Why a sweep in that state, for that reason, does not take the request; None if it does."""
    if state is kind.aim or state in ALLOWED[kind]:
        return None
    match state:
        case SweepState.PENDING:
            return f"it has not started, there is nothing to {kind}"
        case SweepState.STOPPING:
            return f"it ends at the next checkpoints{f', {reason}' if reason else ''}"
        case _:
            return f"there is nothing to {kind}"
