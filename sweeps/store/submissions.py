"""Sweeps that a service runs on behalf of those who submitted them."""

import math
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sweeps.core.errors import UserError, WrongState
from sweeps.core.states import SweepState
from sweeps.core.supervision import UNDER_WAY, LaunchState
from sweeps.records import Claim, SweepRecord
from sweeps.store import sql
from sweeps.store.find import find_sweep
from sweeps.store.tables import launches, submissions, sweeps

MOST_PRIORITY = 1000
MOST_WEIGHT = 1000.0

SUPERVISOR = "masksweep-supervisor"
"""Who asks, where the supervisor itself pauses a sweep."""

SCHEDULER = "masksweep-scheduler"
"""Who asks, with a slash and the schedule's name, where a night is over: that holds its sweep, until the next
night lets it go on."""


@dataclass(frozen=True, slots=True)
class Rank:
    """Where a sweep stands among those that wait.

    Attributes:
        priority: -1000 to 1000; higher ones first.
        weight: Above 0, up to 1000; its share among those of its priority.
    """

    priority: int = 0
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Submission:
    """A sweep that a service runs.

    Attributes:
        sweep_id: The sweep.
        submitted_by: Who wants it.
        submitted_at: Since when, in seconds since the Unix epoch.
        priority: -1000 to 1000; a higher one takes the pool from a lower one.
        weight: Over 0 to 1000; its share of the pool among those of its priority.
        launcher: Where it is to run; None: wherever the service runs sweeps.
        held_by: Who paused it, or None if it may run.
        note: What a person should know, or None.
    """

    sweep_id: str
    submitted_by: str
    submitted_at: float
    priority: int = 0
    weight: float = 1.0
    launcher: str | None = None
    held_by: str | None = None
    note: str | None = None


def submit(
    connection: Connection,
    sweep_id: str,
    *,
    by: str,
    now: float,
    priority: int = 0,
    weight: float = 1.0,
    launcher: str | None = None,
) -> Submission:
    """Gives a sweep to the service, which drives it from now on. A second time changes nothing.

    Args:
        connection: In a transaction that may write.
        sweep_id: Of a sweep that exists.
        by: Who submits it.
        now: Seconds since the Unix epoch.
        priority: -1000 to 1000.
        weight: Over 0, up to 1000.
        launcher: As `MASKSWEEP_LAUNCHER`; None: the service's own.

    Raises:
        UserError: A number is out of its range.
        UnknownSweep: There is no such sweep.
    """
    check(priority, weight)
    sweep = find_sweep(connection, sweep_id)
    found = find(connection, sweep.sweep_id)
    if found is not None:
        return found
    made = Submission(sweep.sweep_id, by, now, priority, weight, launcher)
    row = {
        "sweep_id": made.sweep_id,
        "submitted_by": by,
        "submitted_at": now,
        "priority": priority,
        "weight": weight,
        "launcher": launcher,
    }
    connection.execute(sa.insert(submissions), row)
    waiting = {"number": 0, "state": LaunchState.WAITING.value, "progress": 0, "failures": 0}
    connection.execute(sa.insert(launches), {"sweep_id": made.sweep_id, **waiting})
    data = {"by": by, "priority": priority, "weight": weight}
    sql.add_sweep_event(connection, Claim(made.sweep_id, sweep.epoch), "sweep.submitted", now, data)
    return made


def check(priority: int, weight: float) -> None:
    """Refuses a priority or a weight that is out of its range.

    Raises:
        UserError: It is.
    """
    if not -MOST_PRIORITY <= priority <= MOST_PRIORITY:
        hint = "sweeps are submitted with 0 unless they say otherwise"
        raise UserError(f"priority: got {priority}, but it must be -1000 to 1000", hint)
    if not (math.isfinite(weight) and 0 < weight <= MOST_WEIGHT):
        hint = "a sweep of weight 2 gets twice the share of one of weight 1"
        raise UserError(f"weight: got {weight:g}, but it must be over 0 and up to 1000", hint)


def find(connection: Connection, sweep_id: str) -> Submission | None:
    """A sweep's submission, or None if nobody submitted it."""
    query = sa.select(submissions).where(submissions.c.sweep_id == sweep_id)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else _record(row)


def notes(connection: Connection) -> dict[str, str]:
    """What a person should know of submitted sweeps that have not ended, by their ids."""
    t = submissions
    going_on = sweeps.c.state.not_in([state.value for state in SweepState if state.terminal])
    query = sa.select(t.c.sweep_id, t.c.note).join(sweeps, sweeps.c.sweep_id == t.c.sweep_id)
    found = connection.execute(query.where(t.c.note.is_not(None), going_on))
    return {row.sweep_id: row.note for row in found}


def hold(connection: Connection, sweep_id: str, by: str) -> None:
    """Somebody paused a sweep: the service leaves it PAUSED. Of one that was not submitted, nothing."""
    held = sa.update(submissions).where(submissions.c.sweep_id == sweep_id)
    connection.execute(held.values(held_by=by))


def release(connection: Connection, sweep_id: str) -> None:
    """Nobody holds a sweep any more. Of one that was not submitted, nothing."""
    held = sa.update(submissions).where(submissions.c.sweep_id == sweep_id)
    connection.execute(held.values(held_by=None))


def night_name(name: str) -> str:
    """Who asks, where a night of a schedule is over."""
    return f"{SCHEDULER}/{name}"


def is_night(by: str) -> bool:
    """Whether a schedule's night asked: no token's name has a slash, and no user's."""
    return by.startswith(f"{SCHEDULER}/")


def person(by: str | None) -> str | None:
    """Who of the people asked; None: nobody did, or a schedule's night."""
    return None if by is None or is_night(by) else by


def is_held_by_person(connection: Connection, sweep_id: str) -> bool:
    """Whether somebody paused a sweep, or asked for it; a schedule's night is nobody."""
    found = find(connection, sweep_id)
    return found is not None and person(found.held_by) is not None


def check_free(connection: Connection, sweep: SweepRecord) -> None:
    """Refuses a sweep that a launch is not to drive: it was paused while the process was on its way.

    Raises:
        WrongState: Somebody holds it, who is asked first if it is to go on.
    """
    waits = sweep.state in (SweepState.PENDING, SweepState.PAUSED)
    found = find(connection, sweep.sweep_id) if waits else None
    if found is not None and found.held_by is not None:
        raise WrongState(f"sweep {sweep.sweep_id} was paused by {found.held_by}", "resume it first")


def is_under_way(connection: Connection, sweep_id: str) -> bool:
    """Whether a driver was started for a sweep, which may be about to claim it."""
    begun = [state.value for state in UNDER_WAY]
    query = sa.select(launches.c.number).where(launches.c.sweep_id == sweep_id, launches.c.state.in_(begun))
    return connection.execute(query).first() is not None


def resume(connection: Connection, sweep_id: str, *, by: str, now: float) -> Submission:
    """A person wants a sweep to go on: the service drives it again, at once if it waited after a death.

    Raises:
        UnknownSweep: There is no such sweep.
        UserError: It was not submitted.
    """
    sweep = find_sweep(connection, sweep_id)
    found = find(connection, sweep.sweep_id)
    if found is None:
        hint = "whoever runs it goes on with it: masksweep resume"
        raise UserError(f"sweep {sweep.sweep_id} was not submitted to the service", hint)
    mine = submissions.c.sweep_id == found.sweep_id
    freed: dict[str, Any] = {"held_by": None}
    if found.held_by is not None:  # else it gave way to others, whose turn it is: it keeps its account
        freed["rejoins"] = 1
    connection.execute(sa.update(submissions).where(mine).values(freed))
    waiting = sa.update(launches).where(
        launches.c.sweep_id == found.sweep_id, launches.c.state == LaunchState.WAITING.value
    )
    connection.execute(waiting.values(failures=0, refused=0, retry_at=None))
    held = Claim(found.sweep_id, sweep.epoch)
    sql.add_sweep_event(connection, held, "sweep.resume_asked", now, {"by": by})
    again = find(connection, found.sweep_id)
    assert again is not None
    return again


def rank_anew(connection: Connection, sweep_id: str, rank: Rank, *, by: str, now: float) -> None:
    """Gives a submitted sweep another priority and weight; with these it joins the pool anew.

    Args:
        connection: In a transaction that may write.
        sweep_id: Of a sweep that was submitted.
        rank: The new one; the same as it has changes nothing.
        by: Who does it.
        now: Seconds since the Unix epoch.

    Raises:
        UserError: A number is out of its range.
    """
    check(rank.priority, rank.weight)
    t = submissions
    other = sa.or_(t.c.priority != rank.priority, t.c.weight != rank.weight)
    values = {"priority": rank.priority, "weight": rank.weight}
    change = sa.update(t).where(t.c.sweep_id == sweep_id, other).values(**values, share_from=None)
    if connection.execute(change).rowcount:
        held = Claim(sweep_id, find_sweep(connection, sweep_id).epoch)
        sql.add_sweep_event(connection, held, "sweep.ranked", now, {"by": by, **values})


def _record(row: Any) -> Submission:
    return Submission(
        row["sweep_id"],
        row["submitted_by"],
        row["submitted_at"],
        row["priority"],
        row["weight"],
        row["launcher"],
        row["held_by"],
        row["note"],
    )
