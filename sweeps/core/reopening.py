"""Whether a sweep takes an extension, and what it must extend."""

from sweeps.core.states import SweepState
from sweeps.core.stops import Limit

OPTIONS: dict[Limit, str] = {limit: f"--{limit.value.replace('_', '-')}" for limit in Limit}
"""How a limit is named on a command line."""


def extension_refusal(
    state: SweepState,
    reason: str | None,
    stopped_by: Limit | None,
    given: frozenset[Limit],
    *,
    given_up: bool = False,
) -> tuple[str, str | None] | None:
    """Why a sweep in that state is not extended, with a hint; None if it is.

    Args:
        state: The sweep's,
        reason: and why it is in that state.
        stopped_by: The limit that ended it, or ends it.
        given: What would be extended.
        given_up: Whether it is FAILED since nothing could drive it, which is no verdict on its trials.
    """
    why = f": {reason}" if reason else ""
    match state:
        case SweepState.PENDING | SweepState.RUNNING | SweepState.PAUSED:
            return None
        case SweepState.CANCELLED:
            return f"what was cancelled is not taken up again{why}", "run another sweep"
        case SweepState.FAILED if given_up:
            return None
        case _ if stopped_by is None:
            return f"no limit of its budget ended it{why}", None
        case _ if stopped_by not in given:
            return f"another limit ended it{why}", f"extend it by {OPTIONS[stopped_by]} too"
        case _:
            return None
