"""Where MLflow compares the finalists of a night."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sweeps.store.sweep_nights import SweepNight
from sweeps.tracking.mirror import Mirror


def night_url(
    mirror: Mirror, sweep_id: str, started_at: float | None = None, ended_at: float | None = None
) -> str | None:
    """The link to MLflow's comparison of a night's finalists: the best of the trials that ran in it.

    Asks the store only, and imports no MLflow.

    Args:
        mirror: Of the store.
        sweep_id: The night's sweep, which other nights may share.
        started_at: When the night began, in seconds since the Unix epoch; None: with its sweep.
        ended_at: When it was over; None: it is not.

    Returns:
        None as long as none of them was mirrored.

    Raises:
        UnknownSweep: There is no such sweep.
    """
    return mirror.links(sweep_id, since=started_at, until=ended_at).compare_url


def night_documents(mirror: Mirror, sweep_id: str, nights: Sequence[SweepNight]) -> list[dict[str, Any]]:
    """The nights of a sweep as JSON, each with its link."""
    return [
        {**asdict(night), "compare_url": night_url(mirror, sweep_id, night.started_at, night.ended_at)}
        for night in nights
    ]
