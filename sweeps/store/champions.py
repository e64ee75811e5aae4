"""Champions and verdicts in the store.

A night is judged once: its verdict's key decides, and the champion that comes of it, the verdict and the
events are one transaction, fenced by the epoch of the driver that judged. A champion is never changed, but
for that somebody retires it (`sweeps.store.retiring`): the next one has the next version.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from sweeps.core.champion import CONFIDENCE, Decision, Portrait, portrait_document, portrait_from
from sweeps.core.errors import UnknownSchedule
from sweeps.core.requests import RequestKind
from sweeps.records import Claim
from sweeps.store import sql
from sweeps.store.engine import Patience, impatient, reading
from sweeps.store.find import open_requests
from sweeps.store.schedule_events import add_event
from sweeps.store.schedules import hold_schedule
from sweeps.store.submissions import is_night
from sweeps.store.tables_night import champions, firings, schedules, verdicts
from sweeps.store.write import write

_T = TypeVar("_T")

_PROVISIONAL = "provisional"  # in a verdict's document

_SOME = 5  # names that a hint has


@dataclass(frozen=True, slots=True)
class Night:
    """A night that waits for its verdict. Times are seconds since the Unix epoch.

    Attributes:
        schedule: The schedule's name.
        fire_at: Which night of it.
        closed: Whether it is over, or its scheduler has asked its sweep to pause, as for its GPU-hours; the
            sweep may go on in another one.
        ends_at: When its window ends; None: it is open.
        confidence: At which a champion is to be better, 0.5 to 1.
    """

    schedule: str
    fire_at: float
    closed: bool
    ends_at: float | None
    confidence: float


@dataclass(frozen=True, slots=True)
class Retirement:
    """That somebody retired a champion.

    Attributes:
        at: When, in seconds since the Unix epoch.
        by: Who did it,
        reason: and why; None: they gave no reason.
    """

    at: float
    by: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class Champion:
    """A champion that a schedule has or had.

    Attributes:
        schedule: The schedule's name.
        version: From 1; the highest reigns, unless it was retired.
        sweep_id: The sweep,
        number: and the trial that it was.
        promoted_at: In seconds since the Unix epoch.
        directory: Absolute, with its config, settings and weights.
        portrait: What it is.
        retired: By whom and why, or None.
    """

    schedule: str
    version: int
    sweep_id: str
    number: int
    promoted_at: float
    directory: str
    portrait: Portrait
    retired: Retirement | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was decided of a night's best.

    Attributes:
        schedule: The schedule's name.
        fire_at: Which night of it, in seconds since the Unix epoch.
        decision: What was decided,
        reason: and why, in a line.
        sweep_id: The night's sweep.
        number: The trial that was judged, or None.
        against: The version of the champion that it was held against, or None.
        at: When, in seconds since the Unix epoch.
        document: The comparison in numbers; empty where there was none.
        provisional: Nobody has judged the night: whoever does so later replaces the verdict.
    """

    schedule: str
    fire_at: float
    decision: Decision
    reason: str
    sweep_id: str
    number: int | None
    against: int | None
    at: float
    document: Mapping[str, Any]
    provisional: bool = False


class Champions:
    """Reads what schedules have for champions, and writes what a driver decided.

    Args:
        engine: Of a store whose schema is up to date.
        patience: What is done while the store does not answer. A write that is tried again takes effect once.
    """

    def __init__(self, engine: Engine, patience: Patience = impatient) -> None:
        self._engine, self._patience = engine, patience

    def night_of(self, sweep_id: str) -> Night | None:
        """The night that a sweep runs for, if it waits for a verdict; None for a sweep that no schedule has.

        It waits as well where it has none but a provisional one. The night is the one begun last: those that
        are made up are not begun in the order of their times.
        """
        query = (
            sa.select(firings, schedules.c.rule.label("schedule_rule"), verdicts.c.document.label("verdict"))
            .join(schedules, schedules.c.name == firings.c.schedule)
            .outerjoin(
                verdicts,
                sa.and_(verdicts.c.schedule == firings.c.schedule, verdicts.c.fire_at == firings.c.fire_at),
            )
            .where(firings.c.sweep_id == sweep_id)
            .order_by(firings.c.started_at.desc().nulls_last(), firings.c.fire_at.desc())
            .limit(1)
        )
        with reading(self._engine, self._patience) as connection:
            row = connection.execute(query).mappings().one_or_none()
            if row is None or not (row["verdict"] is None or row["verdict"].get(_PROVISIONAL)):
                return None
            asked = any(
                request.kind is RequestKind.PAUSE
                and is_night(request.by)
                and request.at > (row["started_at"] or 0.0)  # an earlier one was for the night before
                for request in open_requests(connection, sweep_id)
            )
        rule = row["rule"] or row["schedule_rule"]
        confidence = float(rule.get("confidence") or CONFIDENCE)
        closed = asked or row["state"] == "CLOSED"
        return Night(row["schedule"], row["fire_at"], closed, row["ends_at"], confidence)

    def is_scheduled(self, sweep_id: str) -> bool:
        """Whether a sweep is a schedule's."""
        query = sa.select(sa.exists().where(firings.c.sweep_id == sweep_id))
        with reading(self._engine, self._patience) as connection:
            return bool(connection.execute(query).scalar())

    def reigning(self) -> list[Champion]:
        """Each schedule's champion, by name; schedules without one are left out."""
        newest = sa.select(champions.c.schedule, sa.func.max(champions.c.version).label("newest"))
        last = newest.group_by(champions.c.schedule).subquery()
        same = sa.and_(last.c.schedule == champions.c.schedule, last.c.newest == champions.c.version)
        query = sa.select(champions).join(last, same).where(champions.c.retired_at.is_(None))
        query = query.order_by(champions.c.schedule)
        with reading(self._engine, self._patience) as connection:
            return [_champion(row) for row in connection.execute(query).mappings()]

    def champion(self, schedule: str) -> Champion | None:
        """The champion of a schedule, or None if it has none: not yet, or since the last one was retired.

        Raises:
            UnknownSchedule: There never was such a schedule.
        """
        return reigning_of(self.last(schedule))

    def last(self, schedule: str) -> Champion | None:
        """The last champion that a schedule had, which reigns unless it was retired; None if it had none.

        Raises:
            UnknownSchedule: There never was such a schedule.
        """
        with reading(self._engine, self._patience) as connection:
            check_schedule(connection, schedule)
            return newest(connection, schedule)

    def champions(self, schedule: str) -> list[Champion]:
        """All that a schedule has had, the newest first.

        Raises:
            UnknownSchedule: There never was such a schedule.
        """
        query = sa.select(champions).where(champions.c.schedule == schedule)
        with reading(self._engine, self._patience) as connection:
            check_schedule(connection, schedule)
            found = connection.execute(query.order_by(champions.c.version.desc())).mappings()
            return [_champion(row) for row in found]

    def of_sweep(self, sweep_id: str) -> list[Champion]:
        """Champions that came of a sweep, by schedule and version."""
        query = sa.select(champions).where(champions.c.sweep_id == sweep_id)
        with reading(self._engine, self._patience) as connection:
            found = connection.execute(query.order_by(champions.c.schedule, champions.c.version)).mappings()
            return [_champion(row) for row in found]

    def retired_beside(self, sweep_id: str) -> list[str]:
        """Schedules that a sweep ran for, or that had a champion of it, and whose last one was retired."""
        of_night = sa.select(firings.c.schedule).where(firings.c.sweep_id == sweep_id)
        of_champion = sa.select(champions.c.schedule).where(champions.c.sweep_id == sweep_id)
        query = sa.union(of_night, of_champion)
        with reading(self._engine, self._patience) as connection:
            names = sorted(connection.execute(query).scalars())
            lasts = {name: newest(connection, name) for name in names}
        return [name for name, last in lasts.items() if last is not None and last.retired is not None]

    def verdicts(
        self, schedule: str, *, before: float | None = None, limit: int | None = None
    ) -> list[Verdict]:
        """What was decided of a schedule's nights, the latest first.

        Args:
            schedule: Its name.
            before: Only nights with an earlier fire time, in seconds since the Unix epoch.
            limit: At most so many.

        Raises:
            UnknownSchedule: There never was such a schedule.
        """
        query = sa.select(verdicts).where(verdicts.c.schedule == schedule)
        if before is not None:
            query = query.where(verdicts.c.fire_at < before)
        with reading(self._engine, self._patience) as connection:
            check_schedule(connection, schedule)
            found = connection.execute(query.order_by(verdicts.c.fire_at.desc()).limit(limit)).mappings()
            return [_verdict(row) for row in found]

    def judgement(self, schedule: str, sweep_id: str, number: int) -> Verdict | None:
        """What was last decided of a trial that was judged, or None; provisional verdicts are none."""
        t = verdicts
        query = sa.select(t).where(t.c.schedule == schedule, t.c.sweep_id == sweep_id, t.c.number == number)
        with reading(self._engine, self._patience) as connection:
            found = map(_verdict, connection.execute(query.order_by(t.c.at.desc())).mappings())
            return next((each for each in found if not each.provisional), None)

    def judge(
        self, claim: Claim, verdict: Verdict, champion: Champion | None, *, reigning: int | None
    ) -> bool:
        """Writes a verdict, and the champion that comes of it, all or nothing.

        Args:
            claim: The driver's licence.
            verdict: On a night of its sweep.
            champion: The next version, where the decision crowns one.
            reigning: The version that was champion when this was decided, or None.

        Returns:
            False, with nothing changed, if the night has a verdict already, or another champion has come in
            between or this one was retired: then it is to be judged again.

        Raises:
            StaleEpoch: Another driver has taken the sweep over.
        """

        def body(connection: Connection) -> bool:
            last = newest(connection, verdict.schedule, locked=True)  # before the sweep: see hold_schedule
            reigns = reigning_of(last)
            sql.fence(connection, claim, verdict.at)
            if (reigns.version if reigns else None) != reigning:
                return False
            if champion is not None and champion.version != next_version(last):
                return False  # one has come and was retired: nobody reigns, as before
            if not write_verdict(connection, claim, verdict, champion.version if champion else None):
                return False
            if champion is not None:
                values = _row(champion)
                del values["retired"]
                values["document"] = portrait_document(values.pop("portrait"))
                connection.execute(sa.insert(champions), values)
            return True

        return self._write(body)

    def _write(self, body: Callable[[Connection], _T]) -> _T:
        return write(self._engine, self._patience, body)


def write_verdict(connection: Connection, claim: Claim, verdict: Verdict, version: int | None = None) -> bool:
    """Writes a verdict and the events that tell of it; False, with nothing written, if the night has one.

    A provisional one gives way to one that is not.

    Args:
        connection: In a transaction that holds the rows of the schedule and of the sweep.
        claim: The sweep with its epoch.
        verdict: On a night of it.
        version: Of the champion that comes of it, or None.
    """
    row = {**_row(verdict), "decision": verdict.decision.value}
    if row.pop("provisional"):
        row["document"] = {**verdict.document, _PROVISIONAL: True}
    if not sql.add_new(connection, verdicts, row) and not _replaced(connection, verdict, row):
        return False
    data = {name: row[name] for name in ("decision", "reason", "sweep_id", "number", "against")}
    if version is not None:
        data["version"] = version
    fire_at = verdict.fire_at
    add_event(connection, verdict.schedule, "firing.judged", verdict.at, data, by=None, fire_at=fire_at)
    of_sweep = {"schedule": verdict.schedule, "fire_at": fire_at, **data}
    sql.add_sweep_event(connection, claim, "sweep.judged", verdict.at, of_sweep)
    return True


def _replaced(connection: Connection, verdict: Verdict, row: Mapping[str, Any]) -> bool:
    mine = sa.and_(verdicts.c.schedule == verdict.schedule, verdicts.c.fire_at == verdict.fire_at)
    old = _verdict(connection.execute(sa.select(verdicts).where(mine)).mappings().one())
    if verdict.provisional or not old.provisional:
        return False
    connection.execute(sa.update(verdicts).where(mine).values(**row))
    return True


def newest(connection: Connection, schedule: str, *, locked: bool = False) -> Champion | None:
    """The last champion of a schedule; `locked`: nobody else makes or retires one meanwhile."""
    if locked:  # on SQLite whoever writes is alone
        hold_schedule(connection, schedule)
    query = sa.select(champions).where(champions.c.schedule == schedule)
    row = connection.execute(query.order_by(champions.c.version.desc()).limit(1)).mappings().one_or_none()
    return None if row is None else _champion(row)


def champion_of(connection: Connection, schedule: str, version: int) -> Champion | None:
    """The champion of that version that a schedule had, or None."""
    query = sa.select(champions).where(champions.c.schedule == schedule, champions.c.version == version)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else _champion(row)


def reigning_of(last: Champion | None) -> Champion | None:
    """The champion of a schedule, of which that is the last one that it had."""
    return None if last is None or last.retired is not None else last


def next_version(last: Champion | None) -> int:
    """Of the champion that comes after that one: versions go on over those that were retired."""
    return 1 if last is None else last.version + 1


def check_schedule(connection: Connection, name: str) -> None:
    """That there is or was such a schedule.

    Raises:
        UnknownSchedule: There never was one.
    """
    if connection.execute(sa.select(sa.exists().where(schedules.c.name == name))).scalar():
        return
    some = sa.select(schedules.c.name).order_by(schedules.c.name).limit(_SOME)
    there = ", ".join(connection.execute(some).scalars())
    hint = f"there is {there}" if there else "there is no schedule yet"
    raise UnknownSchedule(f"no schedule {name!r}", hint)


def _champion(row: Any) -> Champion:
    values = dict(row)
    at, by, reason = (values.pop(f"retired_{what}") for what in ("at", "by", "reason"))
    retired = None if at is None else Retirement(at, by, reason)
    return Champion(portrait=portrait_from(values.pop("document")), retired=retired, **values)


def _verdict(row: Any) -> Verdict:
    document = dict(row["document"])
    provisional = bool(document.pop(_PROVISIONAL, False))
    values = {**row, "decision": Decision(row["decision"]), "document": document}
    return Verdict(**values, provisional=provisional)


def _row(record: Champion | Verdict) -> dict[str, Any]:
    return {each.name: getattr(record, each.name) for each in fields(record)}
