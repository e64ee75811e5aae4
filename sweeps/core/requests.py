"""What people may ask of a sweep while somebody else drives it, or while nobody does."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sweeps.core.states import SweepState


class RequestKind(StrEnum):
    """What is asked for."""

    PAUSE = "pause"
    CANCEL = "cancel"
    EXTEND = "extend"


AIMS: dict[RequestKind, SweepState] = {
    RequestKind.PAUSE: SweepState.PAUSED,
    RequestKind.CANCEL: SweepState.CANCELLED,
}
"""The state in which a request is fulfilled. An extension has none: the budget is another one at once."""


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
        extension: What an extension adds to the budget, a document of `sweeps.core.extension`; else None.
    """

    request_id: int
    sweep_id: str
    kind: RequestKind
    state: RequestState
    reason: str
    by: str
    at: float
    answered_at: float | None
    extension: Mapping[str, Any] | None = None


ALLOWED: dict[RequestKind, frozenset[SweepState]] = {
    RequestKind.PAUSE: frozenset({SweepState.RUNNING}),
    RequestKind.CANCEL: frozenset(
        {SweepState.PENDING, SweepState.RUNNING, SweepState.PAUSED, SweepState.STOPPING}
    ),
}
"""States of a sweep in which a request changes something. What has come to its aim is fulfilled already."""


def refusal(kind: RequestKind, state: SweepState, reason: str | None) -> str | None:
    """Why a sweep in that state, for that reason, is not paused or cancelled; None if it is."""
    if state is AIMS[kind] or state in ALLOWED[kind]:
        return None
    match state:
        case SweepState.PENDING:
            return f"it has not started, there is nothing to {kind}"
        case SweepState.STOPPING:
            return f"it ends at the next checkpoints{f', {reason}' if reason else ''}"
        case _:
            return f"there is nothing to {kind}"
