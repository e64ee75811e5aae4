"""Schedules: one method is one transaction, and each leaves who did what, and when."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, RowMapping

from sweeps.core.errors import UnknownSchedule, UnreadableSchedule, WrongState, why_unreadable
from sweeps.schedules.nights import OPEN, FiringState, ScheduleState, settle
from sweeps.schedules.rule import Rule, read_rule, rule_timezone
from sweeps.schedules.times import due_time, next_fire_time
from sweeps.store import sql
from sweeps.store.deciding import add_nights, night_row
from sweeps.store.engine import reading, writing
from sweeps.store.schedule_events import ScheduleEvent, add_event, add_events, event_row
from sweeps.store.tables_night import firings, schedule_events, schedules

if TYPE_CHECKING:
    from sweeps.core.spec import SweepSpec


@dataclass(frozen=True, slots=True)
class ScheduleRecord:
    """A schedule. Times are seconds since the Unix epoch.

    Attributes:
        name: Its name.
        state: Whether it fires.
        spec: Of its sweeps, with absolute paths.
        rule: When it fires, and how.
        revision: Grows with each change that somebody asked for, from 1.
        next_at: The next fire time, or None: it has none, or does not fire.
        due_at: The same with its jitter.
        created_by: Who added it,
        created_at: and when.
        reason: Why it is PAUSED, or None.
    """

    name: str
    state: ScheduleState
    spec: "SweepSpec"
    rule: Rule
    revision: int
    next_at: float | None
    due_at: float | None
    created_by: str
    created_at: float
    reason: str | None


@dataclass(frozen=True, slots=True)
class Listed:
    """Some schedules.

    Attributes:
        schedules: Those that can be read.
        unreadable: Why others cannot.
        after: The last name, if there are more behind it; else None.
    """

    schedules: list[ScheduleRecord]
    unreadable: list[UnreadableSchedule]
    after: str | None


class Schedules:
    """Reads and changes schedules.

    Args:
        engine: Of a store whose schema is up to date.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, name: str, spec: "SweepSpec", rule: Rule, *, by: str, now: float) -> ScheduleRecord:
        """A new ACTIVE schedule, which fires from now on. The same one again changes nothing.

        A name that was removed may be taken again: its nights and its champion stay.

        Args:
            name: Checked.
            spec: Checked, with absolute paths.
            rule: Checked.
            by: Who adds it.
            now: Seconds since the Unix epoch.

        Raises:
            WrongState: There is another schedule of that name.
            UnreadableSchedule: There is one that cannot be read.
        """
        from sweeps.core.spec import spec_document  # noqa: PLC0415  (pydantic models are slow to import)

        values: dict[str, Any] = {
            "state": ScheduleState.ACTIVE.value,
            "spec": json.loads(spec_document(spec)),
            "rule": rule.document(),
            "created_by": by,
            "created_at": now,
            "reason": None,
            **_next(rule, name, now),
        }
        with writing(self._engine) as connection:
            new = sql.add_new(connection, schedules, {"name": name, "revision": 1, **values})
            if not new:
                hold_schedule(connection, name)
                row = _row_of(connection, name)
                if row["state"] != ScheduleState.REMOVED.value:
                    old = schedule_record(row)
                    if (old.spec, old.rule) == (spec, rule):
                        return old
                    hint = f"remove that one first, or take another name: masksweep schedule rm {name}"
                    raise WrongState(f"there is a schedule {name} already, and it is another one", hint)
                _change(connection, name, row["revision"], values)
            data = {"rule": values["rule"]} | ({} if new else {"again": True})
            add_event(connection, name, "schedule.added", now, data, by=by)
            return find_schedule(connection, name)

    def pause(self, name: str, *, by: str, now: float, reason: str | None = None) -> ScheduleRecord:
        """It fires no more until it is resumed; a night that runs goes on. PAUSED already, it stays so.

        Nights whose time has come are decided by its rule first, whether a scheduler has looked or not.

        Raises:
            UnknownSchedule: There is no such schedule.
        """
        with writing(self._engine) as connection:
            old = living_schedule(connection, name)
            if old.state is ScheduleState.PAUSED:
                return old
            _settle(connection, old, by=by, now=now)
            why = reason or f"paused by {by}"
            values = {"state": ScheduleState.PAUSED.value, "reason": why, "next_at": None, "due_at": None}
            _change(connection, name, old.revision, values)
            add_event(connection, name, "schedule.paused", now, {"reason": why}, by=by)
            return find_schedule(connection, name)

    def resume(self, name: str, *, by: str, now: float) -> ScheduleRecord:
        """It fires again, from now on: what fell into the pause is not caught up. ACTIVE already, it stays.

        Raises:
            UnknownSchedule: There is no such schedule.
        """
        with writing(self._engine) as connection:
            old = living_schedule(connection, name)
            if old.state is ScheduleState.ACTIVE:
                return old
            values = {"state": ScheduleState.ACTIVE.value, "reason": None, **_next(old.rule, name, now)}
            _change(connection, name, old.revision, values)
            add_event(connection, name, "schedule.resumed", now, {"next_at": values["next_at"]}, by=by)
            return find_schedule(connection, name)

    def remove(self, name: str, *, by: str, now: float) -> ScheduleRecord | UnreadableSchedule:
        """It fires no more; its nights and its champion stay in the store, and a night that runs goes on.

        Nights whose time has come are decided first, as in `pause`. Those that wait are SKIPPED at once: a
        schedule that takes the name again is not to begin them. REMOVED already, it stays so.

        Returns:
            The schedule; why it cannot be read, if it cannot: it is REMOVED all the same.

        Raises:
            UnknownSchedule: There never was one.
        """
        with writing(self._engine) as connection:
            hold_schedule(connection, name)
            row = _row_of(connection, name)
            if row["state"] == ScheduleState.REMOVED.value:
                return _record_or_why(row)
            old = _record_or_why(row)
            if isinstance(old, ScheduleRecord):
                _settle(connection, old, by=by, now=now)
            values = {"state": ScheduleState.REMOVED.value, "next_at": None, "due_at": None}
            _change(connection, name, row["revision"], values)
            add_event(connection, name, "schedule.removed", now, {}, by=by)
            _skip_waiting(connection, name, by=by, now=now)
            return _record_or_why(_row_of(connection, name))

    def get(self, name: str) -> ScheduleRecord:
        """The schedule of that name, REMOVED or not.

        Raises:
            UnknownSchedule: There never was one.
        """
        with reading(self._engine) as connection:
            return find_schedule(connection, name)

    def timezone(self, name: str) -> str:
        """By whose clocks the schedule of that name fires, also of one that cannot be read.

        Raises:
            UnknownSchedule: There never was one.
        """
        with reading(self._engine) as connection:
            return rule_timezone(_row_of(connection, name)["rule"])

    def living(self, name: str) -> ScheduleRecord:
        """The same; one that was removed is unknown.

        Raises:
            UnknownSchedule: There is none.
        """
        return _not_removed(self.get(name))

    def all(self) -> list[ScheduleRecord]:
        """Schedules by name, without those that were removed or cannot be read."""
        return self.listed().schedules

    def listed(self, *, after: str = "", limit: int | None = None) -> Listed:
        """Some schedules by name, without those that were removed.

        Args:
            after: Behind that name.
            limit: At most so many; None: all.
        """
        query = sa.select(schedules).order_by(schedules.c.name).limit(None if limit is None else limit + 1)
        query = query.where(schedules.c.state != ScheduleState.REMOVED.value, schedules.c.name > after)
        with reading(self._engine) as connection:
            found = connection.execute(query).mappings().all()
        page = found if limit is None else found[:limit]
        listed = Listed([], [], page[-1]["name"] if len(found) > len(page) else None)
        for found_one in map(_record_or_why, page):
            if isinstance(found_one, ScheduleRecord):
                listed.schedules.append(found_one)
            else:
                listed.unreadable.append(found_one)
        return listed

    def events(self, name: str, *, after: int = 0, limit: int = 1000) -> list[ScheduleEvent]:
        """What happened to a schedule and its nights, in order."""
        t = schedule_events
        query = sa.select(t).where(t.c.schedule == name, t.c.event_id > after).order_by(t.c.event_id)
        with reading(self._engine) as connection:
            return [ScheduleEvent(**row) for row in connection.execute(query.limit(limit)).mappings()]


def schedule_record(row: Any) -> ScheduleRecord:
    """From a row of `schedules`.

    Raises:
        UnreadableSchedule: Its state, its rule or its spec is not what this version writes.
    """
    try:
        spec, rule = _spec(json.dumps(row["spec"], sort_keys=True)), rule_of(row["rule"])
        state = ScheduleState(row["state"])
    except Exception as error:  # whatever is wrong with a row
        raise UnreadableSchedule(row["name"], why_unreadable(error)) from error
    return ScheduleRecord(
        name=row["name"],
        state=state,
        spec=spec,
        rule=rule,
        revision=row["revision"],
        next_at=row["next_at"],
        due_at=row["due_at"],
        created_by=row["created_by"],
        created_at=row["created_at"],
        reason=row["reason"],
    )


def rule_of(document: Mapping[str, Any]) -> Rule:
    """The rule of a row; many schedules have one rule."""
    return _rule(json.dumps(document, sort_keys=True))


@lru_cache(maxsize=4096)
def _rule(text: str) -> Rule:
    return read_rule(json.loads(text))


@lru_cache(maxsize=256)
def _spec(text: str) -> "SweepSpec":
    from sweeps.core.spec import spec_from_document  # noqa: PLC0415  (pydantic models are slow to import)

    return spec_from_document(text)


def find_schedule(connection: Connection, name: str) -> ScheduleRecord:
    """The schedule of that name, REMOVED or not.

    Raises:
        UnknownSchedule: There never was one.
    """
    return schedule_record(_row_of(connection, name))


def lock_schedule(connection: Connection, name: str) -> ScheduleRecord:
    """The same, and nobody else changes it, or begins one of its nights, before the transaction ends.

    On SQLite every writer has the whole store to itself.

    Raises:
        UnknownSchedule: There never was one.
    """
    hold_schedule(connection, name)
    return find_schedule(connection, name)


def hold_schedule(connection: Connection, name: str) -> None:
    """Only the lock. Whoever locks a sweep's row as well does so after this: two orders could deadlock."""
    connection.execute(sa.select(schedules.c.name).where(schedules.c.name == name).with_for_update())


def living_schedule(connection: Connection, name: str) -> ScheduleRecord:
    """The same; one that was removed is unknown.

    Raises:
        UnknownSchedule: There is none.
    """
    return _not_removed(lock_schedule(connection, name))


def _not_removed(found: ScheduleRecord) -> ScheduleRecord:
    if found.state is ScheduleState.REMOVED:
        hint = "add it again: masksweep schedule add"
        raise UnknownSchedule(f"schedule {found.name} was removed", hint)
    return found


def _settle(connection: Connection, old: ScheduleRecord, *, by: str, now: float) -> None:
    """Decides the fire times that have come; the caller holds the row."""
    if old.state is ScheduleState.ACTIVE and old.next_at is not None:
        decisions, rule = settle(old.rule, old.name, old.next_at, now), old.rule.document()
        add_nights(connection, [night_row(old.name, rule, each, now) for each in decisions], now, by=by)


def _skip_waiting(connection: Connection, name: str, *, by: str, now: float) -> None:
    reason = f"the schedule is {ScheduleState.REMOVED}"
    waiting = sa.update(firings).where(
        firings.c.schedule == name, firings.c.state.in_([state.value for state in OPEN])
    )
    values = {"state": FiringState.SKIPPED.value, "reason": reason, "ended_at": now}
    skipped = connection.execute(waiting.values(**values).returning(firings.c.fire_at)).scalars().all()
    told = {"reason": reason}
    add_events(
        connection,
        [event_row(name, "night.skipped", now, told, by=by, fire_at=at) for at in sorted(skipped)],
    )


def _row_of(connection: Connection, name: str) -> RowMapping:
    row = connection.execute(sa.select(schedules).where(schedules.c.name == name)).mappings().one_or_none()
    if row is None:
        raise _unknown(connection, name)
    return row


def _record_or_why(row: RowMapping) -> ScheduleRecord | UnreadableSchedule:
    try:
        return schedule_record(row)
    except UnreadableSchedule as error:
        return error


def _change(connection: Connection, name: str, revision: int, values: Mapping[str, Any]) -> None:
    """The caller holds the row."""
    change = sa.update(schedules).where(schedules.c.name == name, schedules.c.revision == revision)
    connection.execute(change.values(revision=revision + 1, **values))


def _next(rule: Rule, name: str, now: float) -> dict[str, float | None]:
    next_at = next_fire_time(rule, now)
    return {"next_at": next_at, "due_at": due_time(rule, name, next_at)}


def _unknown(connection: Connection, name: str) -> UnknownSchedule:
    living = sa.select(schedules.c.name).where(schedules.c.state != ScheduleState.REMOVED.value)
    known = list(connection.execute(living.order_by(schedules.c.name)).scalars())
    near = get_close_matches(name, known, n=3, cutoff=0.5) or known[:3]
    hint = "did you mean " + ", ".join(near) + "?" if near else "there is no schedule yet"
    return UnknownSchedule(f"no schedule {name!r}", hint)
