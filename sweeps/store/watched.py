"""Submitted sweeps with their drivers' processes, as a supervisor reads them: all in one query."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from sweeps.core.requests import RequestKind, RequestState
from sweeps.core.states import SweepState
from sweeps.core.supervision import LaunchState
from sweeps.records import Driver
from sweeps.store.tables import launches, requests, submissions, sweeps


@dataclass(frozen=True, slots=True)
class LaunchRecord:
    """How the process of a sweep's driver stands. Times are seconds since the Unix epoch.

    Attributes:
        sweep_id: The sweep.
        number: Launches so far; 0 before the first.
        state: How it stands.
        handle: Names the process to its launcher, or None.
        launched_at: When the last launch was written down, or None.
        confirmed_at: When its process said that it is this launch, or None.
        failures: Deaths in a row without progress between them.
        refused: Starts in a row that its launcher refused.
        retry_at: Not to be launched before, or None.
        stopped_at: When the process was told to stop, or None.
        reason: Of the last death, or of the last refusal; or None.
    """

    sweep_id: str
    number: int
    state: LaunchState
    handle: str | None
    launched_at: float | None
    confirmed_at: float | None
    failures: int
    refused: int
    retry_at: float | None
    stopped_at: float | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Watched:
    """A submitted sweep as a supervisor sees it.

    Attributes:
        launch: Its driver's process.
        state: The sweep's.
        epoch: The sweep's.
        driver: Who holds the epoch, or None before the first.
        worker_s: Worker seconds so far.
        ended_at: When it became terminal, or None.
        submitted_at: When it was submitted.
        priority: Of its submission,
        weight: and its weight.
        launcher: Where it is to run, or None.
        held_by: Who paused it, or None.
        share_from: GPU-seconds a weight that count as used from its joining the pool; None: not yet.
        rejoins: Whether somebody has resumed it, and it has not come back to the pool yet.
        note: What a person should know, or None.
        open_request: Of the cancellation that waits, else of the pause: id, kind, time; or None.
        left: Whether a pause was carried out since the launch.
    """

    launch: LaunchRecord
    state: SweepState
    epoch: int
    driver: Driver | None
    worker_s: float
    ended_at: float | None
    submitted_at: float
    priority: int
    weight: float
    launcher: str | None
    held_by: str | None
    share_from: float | None
    rejoins: bool
    note: str | None
    open_request: tuple[int, RequestKind, float] | None
    left: bool


_TERMINAL = [state.value for state in SweepState if state.terminal]
_ASKED = [RequestKind.PAUSE.value, RequestKind.CANCEL.value]
_first_open = (  # a cancellation overtakes a pause
    sa.select(requests.c.request_id)
    .where(
        requests.c.sweep_id == submissions.c.sweep_id,
        requests.c.state == RequestState.OPEN.value,
        requests.c.kind.in_(_ASKED),
    )
    .order_by(requests.c.kind != RequestKind.CANCEL.value, requests.c.request_id)
    .limit(1)
    .scalar_subquery()
)
_left = (
    sa.exists()
    .where(
        requests.c.sweep_id == submissions.c.sweep_id,
        requests.c.state == RequestState.DONE.value,
        requests.c.kind == RequestKind.PAUSE.value,
        requests.c.answered_at >= launches.c.launched_at,
    )
    .label("left")
)
_asked = requests.alias("asked")
WATCHED = (
    sa.select(
        launches,
        sweeps.c.state.label("sweep_state"),
        sweeps.c.epoch,
        sweeps.c.driver_host,
        sweeps.c.driver_pid,
        sweeps.c.beat_at,
        sweeps.c.worker_s,
        sweeps.c.ended_at,
        submissions.c.submitted_at,
        submissions.c.priority,
        submissions.c.weight,
        submissions.c.launcher,
        submissions.c.held_by,
        submissions.c.share_from,
        submissions.c.rejoins,
        submissions.c.note,
        _asked.c.request_id.label("asked_id"),
        _asked.c.kind.label("asked_kind"),
        _asked.c.at.label("asked_at"),
        _left,
    )
    .select_from(
        submissions.join(sweeps, sweeps.c.sweep_id == submissions.c.sweep_id)
        .join(launches, launches.c.sweep_id == submissions.c.sweep_id)
        .outerjoin(_asked, _asked.c.request_id == _first_open)
    )
    .where(sa.or_(sweeps.c.state.not_in(_TERMINAL), launches.c.state != LaunchState.ENDED.value))
    .order_by(submissions.c.submitted_at, submissions.c.sweep_id)
)


def launch_record(row: Any) -> LaunchRecord:
    """From a row of `launches`."""
    return LaunchRecord(
        row["sweep_id"],
        row["number"],
        LaunchState(row["state"]),
        row["handle"],
        row["launched_at"],
        row["confirmed_at"],
        row["failures"],
        row["refused"],
        row["retry_at"],
        row["stopped_at"],
        row["reason"],
    )


def watched_record(row: Any) -> Watched:
    """From a row of `WATCHED`."""
    asked = row["asked_id"]
    host = row["driver_host"]
    return Watched(
        launch=launch_record(row),
        state=SweepState(row["sweep_state"]),
        epoch=row["epoch"],
        driver=None if host is None else Driver(host, row["driver_pid"], row["beat_at"]),
        worker_s=row["worker_s"],
        ended_at=row["ended_at"],
        submitted_at=row["submitted_at"],
        priority=row["priority"],
        weight=row["weight"],
        launcher=row["launcher"],
        held_by=row["held_by"],
        share_from=row["share_from"],
        rejoins=bool(row["rejoins"]),
        note=row["note"],
        open_request=None if asked is None else (asked, RequestKind(row["asked_kind"]), row["asked_at"]),
        left=bool(row["left"]),
    )
