"""What happened lately that people may want to hear of, from the rows."""

from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from sweeps.core.states import SweepState
from sweeps.schedules.rule import rule_timezone
from sweeps.store.engine import reading
from sweeps.store.tables import submissions, sweeps
from sweeps.store.tables_night import champions, firings, schedules, verdicts

_ENDS = ("CLOSED", "SKIPPED", "MISSED", "FAILED")
_GOES_ON = (SweepState.RUNNING.value, SweepState.PAUSED.value)
_CROWNED = sa.and_(  # a champion and the verdict that made it, which is written with it
    verdicts.c.schedule == champions.c.schedule,
    verdicts.c.sweep_id == champions.c.sweep_id,
    verdicts.c.number == champions.c.number,
    verdicts.c.at == champions.c.promoted_at,
)


@dataclass(frozen=True, slots=True)
class EndedNight:
    """A night that is over, or will not take place. Times are seconds since the Unix epoch.

    Attributes:
        schedule: The schedule's name.
        fire_at: Which night of it.
        state: `CLOSED`, or how it did not take place: `SKIPPED`, `MISSED`, `FAILED`.
        reason: In words, or None.
        sweep_id: Its sweep, or None if it had none.
        decided_at: When it was decided that it is to begin: a backfill decides it anew.
        ended_at: When it ended.
        timezone: Of the schedule, a name of the IANA database.
        decision: What was decided of its best, or None,
        verdict: and why, in words.
        goes_on: Whether its sweep has not ended: a driver that pauses judges the night a little later.
        crowned: The metric and the value of its best, if that became champion.
    """

    schedule: str
    fire_at: float
    state: str
    reason: str | None
    sweep_id: str | None
    decided_at: float
    ended_at: float
    timezone: str
    decision: str | None
    verdict: str | None
    goes_on: bool
    crowned: tuple[str, float] | None


@dataclass(frozen=True, slots=True)
class NewChampion:
    """A champion.

    Attributes:
        schedule: The schedule's name.
        version: From 1.
        sweep_id: The sweep,
        number: and the trial that it was.
        promoted_at: In seconds since the Unix epoch.
        directory: Of its model.
        measured: The metric that it was judged by, and its value, or None.
        reason: Why it was chosen, or None.
    """

    schedule: str
    version: int
    sweep_id: str
    number: int
    promoted_at: float
    directory: str
    measured: tuple[str, float] | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class FailedSweep:
    """A sweep that FAILED.

    Attributes:
        sweep_id: The sweep.
        name: Of its spec.
        epoch: In which it failed: one that is resumed may fail again.
        reason: In words, or None.
        ended_at: When, in seconds since the Unix epoch.
        schedule: Whose night it was, or None.
    """

    sweep_id: str
    name: str
    epoch: int
    reason: str | None
    ended_at: float
    schedule: str | None


@dataclass(frozen=True, slots=True)
class LateSweep:
    """A sweep that will not be done before its deadline, as things stand.

    Attributes:
        sweep_id: The sweep.
        name: Of its spec.
        deadline_at: In seconds since the Unix epoch.
        note: In words.
    """

    sweep_id: str
    name: str
    deadline_at: float
    note: str


@dataclass(frozen=True, slots=True)
class Happened:
    """All of it."""

    nights: list[EndedNight]
    champions: list[NewChampion]
    failed: list[FailedSweep]
    late: list[LateSweep]


def happened(engine: Engine, since: float) -> Happened:
    """What happened from a moment on, in seconds since the Unix epoch; what is late, as it is now."""
    with reading(engine) as connection:
        return Happened(
            _nights(connection, since), _champions(connection, since), _failed(connection, since),
            _late(connection),
        )  # fmt: skip


def _nights(connection: Connection, since: float) -> list[EndedNight]:
    same = sa.and_(verdicts.c.schedule == firings.c.schedule, verdicts.c.fire_at == firings.c.fire_at)
    query = (
        sa.select(
            firings,
            schedules.c.rule.label("schedule_rule"),
            verdicts.c.decision,
            verdicts.c.reason.label("verdict"),
            sweeps.c.state.label("sweep_state"),
            champions.c.document.label("portrait"),
        )
        .join(schedules, schedules.c.name == firings.c.schedule)
        .outerjoin(sweeps, sweeps.c.sweep_id == firings.c.sweep_id)
        .outerjoin(verdicts, same)
        .outerjoin(champions, _CROWNED)
        .where(firings.c.ended_at >= since, firings.c.state.in_(_ENDS))
        .order_by(firings.c.schedule, firings.c.fire_at)
    )
    return [
        EndedNight(
            row["schedule"], row["fire_at"], row["state"], row["reason"], row["sweep_id"],
            row["decided_at"], row["ended_at"], rule_timezone(row["rule"] or row["schedule_rule"]),
            row["decision"], row["verdict"],
            row["sweep_state"] in _GOES_ON, _measured(row["portrait"]),
        )
        for row in connection.execute(query).mappings()
    ]  # fmt: skip


def _champions(connection: Connection, since: float) -> list[NewChampion]:
    c = champions.c
    query = (
        sa.select(
            c.schedule, c.version, c.sweep_id, c.number, c.promoted_at, c.directory, c.document,
            verdicts.c.reason,
        )
        .outerjoin(verdicts, _CROWNED)
        .where(c.promoted_at >= since)
        .order_by(c.schedule, c.version)
    )  # fmt: skip
    return [
        NewChampion(
            row["schedule"], row["version"], row["sweep_id"], row["number"], row["promoted_at"],
            row["directory"], _measured(row["document"]), row["reason"],
        )
        for row in connection.execute(query).mappings()
    ]  # fmt: skip


def _measured(portrait: Mapping[str, object] | None) -> tuple[str, float] | None:
    """Of a champion's document, as `sweeps.core.champion.Portrait` has it."""
    metric, value = (portrait or {}).get("metric"), (portrait or {}).get("value")
    return (metric, value) if isinstance(metric, str) and isinstance(value, int | float) else None


def _failed(connection: Connection, since: float) -> list[FailedSweep]:
    whose = (
        sa.select(sa.func.min(firings.c.schedule))
        .where(firings.c.sweep_id == sweeps.c.sweep_id)
        .scalar_subquery()
        .label("schedule")
    )
    s = sweeps.c
    query = (
        sa.select(s.sweep_id, s.name, s.epoch, s.reason, s.ended_at, whose)
        .where(s.state == SweepState.FAILED.value, s.ended_at >= since)
        .order_by(s.ended_at, s.sweep_id)
    )
    return [FailedSweep(**row) for row in connection.execute(query).mappings()]


def _late(connection: Connection) -> list[LateSweep]:
    s = sweeps.c
    query = (
        sa.select(s.sweep_id, s.name, s.deadline_at, submissions.c.note)
        .join(submissions, submissions.c.sweep_id == s.sweep_id)
        # notes are words for people; those of `sweeps.core.deadline` begin like this
        .where(s.state.in_(_GOES_ON), s.deadline_at.is_not(None), submissions.c.note.like("the deadline %"))
        .order_by(s.sweep_id)
    )
    return [LateSweep(**row) for row in connection.execute(query).mappings()]
