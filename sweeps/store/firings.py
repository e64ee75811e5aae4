"""Nights in the store: which fire times were decided, and how each night stands.

Who fires is decided by the lock on a schedule's row and by the firing's primary key; who moves a night on, by
a compare-and-set of its state. Any number of services may do either at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from sweeps.core.errors import WrongState
from sweeps.schedules.nights import (
    FIRING_TRANSITIONS,
    OPEN,
    Decision,
    FiringState,
    ScheduleState,
    Why,
    fire,
    night_text,
)
from sweeps.schedules.rule import Rule, rule_timezone
from sweeps.schedules.times import due_time
from sweeps.store.deciding import add_nights, night_row
from sweeps.store.engine import reading, writing
from sweeps.store.readable import readable_rule
from sweeps.store.schedule_events import add_event, key_digest, told_under_key
from sweeps.store.schedules import ScheduleRecord, living_schedule
from sweeps.store.tables_night import firings, schedules, verdicts

PAGE = 500
"""Schedules that one transaction fires."""

_BACKFILLED = "schedule.backfilled"


@dataclass(frozen=True, slots=True)
class FiringRecord:
    """A night. Times are seconds since the Unix epoch.

    Attributes:
        schedule: The schedule's name.
        fire_at: As its rule says it, without jitter.
        state: How it stands.
        reason: Why it is what it is, or None.
        why: What made it.
        decided_at: When its fire time was decided.
        sweep_id: Its sweep, or None.
        started_at: When it began, or None.
        ends_at: When its window closes; None: never, or it has not begun.
        ended_at: When it was CLOSED, or found not to take place; or None.
        gpu_s_before: GPU-seconds that its sweep had held when it began, or None.
        timezone: Of the rule that it fired under, by whose clocks it is called; None: it is older than these
            are kept, and the schedule's has to do.
    """

    schedule: str
    fire_at: float
    state: FiringState
    reason: str | None
    why: Why
    decided_at: float
    sweep_id: str | None
    started_at: float | None
    ends_at: float | None
    ended_at: float | None
    gpu_s_before: float | None
    timezone: str | None


class Firings:
    """Reads nights, and decides whose time has come.

    Args:
        engine: Of a store whose schema is up to date.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def fire(self, now: float, *, by: str) -> int:
        """Decides the fire times that have come, of up to `PAGE` schedules; of how many it did.

        A schedule whose rule cannot be read is passed over, which the log tells once.
        A schedule that another service is about to decide is passed over on PostgreSQL.
        """
        with writing(self._engine) as connection:
            moved: list[dict[str, Any]] = []
            decided: list[dict[str, Any]] = []
            for row, rule in _due(connection, now):
                fired = fire(rule, row.name, row.next_at, now)
                due_at = due_time(rule, row.name, fired.next_at)
                values = {"at_name": row.name, "at_revision": row.revision, "at_next": row.next_at}
                moved.append({**values, "next_at": fired.next_at, "due_at": due_at})
                decided += [night_row(row.name, row.rule, each, now) for each in fired.decisions]
            if moved:
                connection.execute(_MOVE_ON, moved)
                add_nights(connection, decided, now, by=by)
        return len(moved)

    def is_due(self, now: float) -> bool:
        """Whether any schedule's time has come; asked without holding up anybody who writes."""
        t = schedules
        query = sa.select(sa.exists().where(t.c.state == ScheduleState.ACTIVE.value, t.c.due_at <= now))
        with reading(self._engine) as connection:
            return bool(connection.execute(query).scalar())

    def backfill(
        self, name: str, decisions: Sequence[Decision], *, by: str, now: float, key: str | None = None
    ) -> list[FiringRecord]:
        """Nights that are asked for after their time: new ones, and those that did not take place, are DUE.

        Args:
            name: Of the schedule.
            decisions: Each of a night.
            by: Who asks.
            now: Seconds since the Unix epoch.
            key: Names this request: made again, it asks for nothing more.

        Returns:
            Those that are DUE by this; a night that took place, or is to, stays what it is.

        Raises:
            UnknownSchedule: There is no such schedule.
            WrongState: It is not ACTIVE.
        """
        with writing(self._engine) as connection:
            found = living_schedule(connection, name)
            check_fires(found)
            before = told_under_key(connection, name, _BACKFILLED, key)
            if before is not None:
                return [find_firing(connection, name, at) for at in before["made"]]
            rule = found.rule.document()
            rows = [night_row(name, rule, each, now) for each in decisions]
            made = add_nights(connection, rows, now, by=by)
            for each in decisions:
                old = find_firing(connection, name, each.fire_at)
                if each.fire_at not in made and FiringState.DUE in FIRING_TRANSITIONS[old.state]:
                    values: dict[str, Any] = {"ended_at": None, "why": each.why.value, "decided_at": now}
                    move(connection, old, FiringState.DUE, now, by=by, rule=rule, **values)
                    made.add(each.fire_at)
            data: dict[str, Any] = {}
            if decisions:
                data |= {"from": decisions[0].fire_at, "to": decisions[-1].fire_at}
            if key is not None:
                data |= {"key": key_digest(key), "made": sorted(made)}
            data["nights"] = len(made)
            add_event(connection, name, _BACKFILLED, now, data, by=by)
            return [find_firing(connection, name, at) for at in sorted(made)]

    def open(self) -> list[FiringRecord]:
        """DUE and QUEUED nights, by schedule and fire time."""
        t = firings
        query = sa.select(t).where(t.c.state.in_([state.value for state in OPEN]))
        return self._read(query.order_by(t.c.schedule, t.c.fire_at))

    def of(self, name: str, *, before: float | None = None, limit: int = 100) -> list[FiringRecord]:
        """Nights of a schedule, the latest first; `before`: those with an earlier fire time."""
        query = sa.select(firings).where(firings.c.schedule == name)
        if before is not None:
            query = query.where(firings.c.fire_at < before)
        return self._read(query.order_by(firings.c.fire_at.desc()).limit(limit))

    def at(self, name: str, fire_ats: Sequence[float]) -> dict[float, FiringRecord]:
        """Nights of a schedule by fire time, as far as they are decided."""
        query = sa.select(firings).where(firings.c.schedule == name, firings.c.fire_at.in_(fire_ats))
        return {each.fire_at: each for each in self._read(query)}

    def called(self, name: str, fire_ats: Sequence[float]) -> dict[float, str]:
        """What nights of a schedule are called, each by the clocks of the rule that it fired under."""
        t, later = firings, schedules.c.rule.label("schedule_rule")
        query = sa.select(t.c.fire_at, t.c.rule, later).join(schedules, schedules.c.name == t.c.schedule)
        query = query.where(t.c.schedule == name, t.c.fire_at.in_(fire_ats))
        with reading(self._engine) as connection:
            return {
                row.fire_at: night_text(rule_timezone(row.rule or row.schedule_rule), row.fire_at)
                for row in connection.execute(query)
            }

    def verdicts(self, name: str, fire_ats: Sequence[float]) -> dict[float, tuple[str, str]]:
        """What was decided of the best of nights, and why, by fire time; absent where nothing was."""
        t = verdicts
        query = sa.select(t.c.fire_at, t.c.decision, t.c.reason)
        query = query.where(t.c.schedule == name, t.c.fire_at.in_(fire_ats))
        with reading(self._engine) as connection:
            return {row.fire_at: (row.decision, row.reason) for row in connection.execute(query)}

    def _read(self, query: sa.Select[Any]) -> list[FiringRecord]:
        with reading(self._engine) as connection:
            return [firing_record(row) for row in connection.execute(query).mappings()]


def _due(connection: Connection, now: float) -> list[tuple[Any, Rule]]:
    """Schedules whose time has come, with their rules: of the first page in which one can be read."""
    t = schedules
    due = sa.select(t.c.name, t.c.rule, t.c.revision, t.c.next_at, t.c.due_at)
    due = due.where(t.c.state == ScheduleState.ACTIVE.value, t.c.due_at <= now)
    due = due.order_by(t.c.due_at, t.c.name).limit(PAGE).with_for_update(skip_locked=True)
    rows = connection.execute(due).all()
    while rows:
        rules = [(row, readable_rule(row.name, row.rule)) for row in rows]
        if found := [(row, rule) for row, rule in rules if rule is not None]:
            return found
        last = rows[-1]  # those stay due, and are not to be all that is ever looked at
        behind = sa.or_(t.c.due_at > last.due_at, sa.and_(t.c.due_at == last.due_at, t.c.name > last.name))
        rows = connection.execute(due.where(behind)).all()
    return []


_MOVE_ON = (
    sa.update(schedules)
    .where(
        schedules.c.name == sa.bindparam("at_name"),
        schedules.c.state == ScheduleState.ACTIVE.value,
        schedules.c.revision == sa.bindparam("at_revision"),
        schedules.c.next_at == sa.bindparam("at_next"),
    )
    .values(next_at=sa.bindparam("next_at"), due_at=sa.bindparam("due_at"))
)


def check_fires(schedule: ScheduleRecord) -> None:
    """Refuses to ask for nights of a schedule that begins none.

    Raises:
        WrongState: It is not ACTIVE.
    """
    if schedule.state is not ScheduleState.ACTIVE:
        hint = f"resume it first: masksweep schedule resume {schedule.name}"
        problem = f"schedule {schedule.name} is {schedule.state}: no night of it would begin"
        raise WrongState(problem, hint)


_FIELDS = [field.name for field in fields(FiringRecord) if field.name != "timezone"]


def firing_record(row: Any) -> FiringRecord:
    """From a row that has the columns of `firings`, and maybe others."""
    values = {name: row[name] for name in _FIELDS}
    values |= {"state": FiringState(row["state"]), "why": Why(row["why"])}
    return FiringRecord(**values, timezone=rule_timezone(row["rule"]) if row["rule"] else None)


def find_firing(connection: Connection, name: str, fire_at: float) -> FiringRecord:
    """A night that was decided."""
    query = sa.select(firings).where(firings.c.schedule == name, firings.c.fire_at == fire_at)
    return firing_record(connection.execute(query).mappings().one())


def move(
    connection: Connection,
    old: FiringRecord,
    new: FiringState,
    now: float,
    *,
    by: str,
    reason: str | None = None,
    data: Mapping[str, Any] | None = None,
    **values: Any,
) -> bool:
    """Changes a night that is still in the state in which it was read; False if it is not.

    Args:
        connection: In a transaction that may write.
        old: As it was read.
        new: Its next state.
        now: Seconds since the Unix epoch.
        by: Who does it.
        reason: Why.
        data: Of the event that tells of it, beside the reason.
        values: Other columns of `firings`.
    """
    if new not in FIRING_TRANSITIONS[old.state]:
        raise ValueError(f"a night that is {old.state} cannot become {new}")
    at = sa.update(firings).where(firings.c.schedule == old.schedule, firings.c.fire_at == old.fire_at)
    ended = {} if new in (FiringState.RUNNING, *OPEN) else {"ended_at": now}
    still = at.where(firings.c.state == old.state.value)
    changed = still.values(**{"state": new.value, "reason": reason, **ended, **values})
    if connection.execute(changed).rowcount != 1:
        return False
    told = {**(data or {}), **({"reason": reason} if reason else {})}
    kind = "night.started" if new is FiringState.RUNNING else f"night.{new.value.lower()}"
    add_event(connection, old.schedule, kind, now, told, by=by, fire_at=old.fire_at)
    return True
