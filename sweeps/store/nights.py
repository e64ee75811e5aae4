"""What begins and ends nights: each change of a night in one transaction with its sweep's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from sweeps.core.states import SweepState
from sweeps.core.supervision import UNDER_WAY
from sweeps.records import Claim, SweepRecord
from sweeps.schedules.nights import FiringState, ScheduleState, window_end
from sweeps.schedules.rule import Rule
from sweeps.store import sql
from sweeps.store import submissions as asked
from sweeps.store.champions import Verdict, write_verdict
from sweeps.store.creating import create_sweep
from sweeps.store.engine import reading, writing
from sweeps.store.find import find_sweep, held_gpu_s, lock_sweep
from sweeps.store.firings import FiringRecord, find_firing, firing_record, move
from sweeps.store.readable import readable_sweep
from sweeps.store.schedules import ScheduleRecord, hold_schedule, lock_schedule
from sweeps.store.submissions import is_night, night_name, person
from sweeps.store.tables import launches, submissions, sweeps
from sweeps.store.tables_night import firings, schedules

if TYPE_CHECKING:
    from sweeps.core.spec import SweepSpec
    from sweeps.warm.plan import WarmPlan

_TERMINAL = [state.value for state in SweepState if state.terminal]


@dataclass(frozen=True, slots=True)
class NewSweep:
    """A sweep to be created for a night.

    Attributes:
        spec: Validated; with what it starts warm from.
        fingerprint: Of its data set; empty where only its driver can read it.
        base: Of its base's config and weights, or None.
        warm: What it takes over, or None.
        note: What a person should know, or None.
    """

    spec: SweepSpec
    fingerprint: str
    base: str | None = None
    warm: WarmPlan | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Night:
    """A night that runs, with what its sweep does.

    Attributes:
        firing: Its row, RUNNING.
        gpu_hours: After which it pauses, by the rule that it began with; None: no limit.
        state: Of its sweep.
        reason: Of its sweep.
        held_by: Who paused its sweep, or None.
        launched: Whether a process that drives it is there, or on its way.
        gpu_s: GPU-seconds that the night has held so far; 0 where nothing limits them.
    """

    firing: FiringRecord
    gpu_hours: float | None
    state: SweepState
    reason: str | None
    held_by: str | None
    launched: bool
    gpu_s: float

    @property
    def held_by_person(self) -> str | None:
        """Who of the people paused it, or None."""
        return person(self.held_by)

    @property
    def rests(self) -> bool:
        """Whether nobody works at its sweep; while it is not held, somebody may begin to."""
        idle = self.state is SweepState.PAUSED or (self.state is SweepState.PENDING and not self.launched)
        return self.state.terminal or idle


@dataclass(frozen=True, slots=True)
class Last:
    """The sweep of the night that began last.

    Attributes:
        sweep: As it is now.
        held_by: Who paused it, or None.
    """

    sweep: SweepRecord
    held_by: str | None

    @property
    def held_by_person(self) -> str | None:
        """Who of the people paused it, or None."""
        return person(self.held_by)

    @property
    def busy(self) -> bool:
        """Whether it runs, though no night does: somebody let it go on."""
        return self.sweep.state in (SweepState.RUNNING, SweepState.STOPPING)


@dataclass(frozen=True, slots=True)
class _Start:
    """With what a night begins: its sweep, what that has held before, and how it was made if it is new."""

    sweep_id: str
    gpu_s: float
    new: NewSweep | None = None


class Nights:
    """Reads and changes nights.

    Args:
        engine: Of a store whose schema is up to date.
        by: Names the service that does it.
    """

    def __init__(self, engine: Engine, by: str) -> None:
        self._engine, self._by = engine, by

    def running(self) -> list[Night]:
        """All that run, with their sweeps, by schedule."""
        return self._read(_RUNNING)

    def running_of(self, name: str) -> Night | None:
        """The night of a schedule that runs: there is at most one."""
        return next(iter(self._read(_RUNNING.where(firings.c.schedule == name))), None)

    def last(self, name: str) -> Last | None:
        """The sweep of the night that began last, or None."""
        query = sa.select(firings.c.sweep_id)
        query = query.where(firings.c.schedule == name, firings.c.sweep_id.is_not(None))
        query = query.order_by(firings.c.started_at.desc(), firings.c.fire_at.desc()).limit(1)
        with reading(self._engine) as connection:
            sweep_id = connection.execute(query).scalar()
            if sweep_id is None:
                return None
            held = asked.find(connection, sweep_id)
            return Last(find_sweep(connection, sweep_id), held.held_by if held else None)

    def _read(self, query: sa.Select[Any]) -> list[Night]:
        with reading(self._engine) as connection:
            return [_night(connection, row) for row in connection.execute(query).mappings().all()]

    def begin(
        self, firing: FiringRecord, now: float, *, new: NewSweep | None = None, goes_on: str | None = None
    ) -> bool:
        """A night is RUNNING: with a new sweep, or with one that goes on.

        Args:
            firing: DUE or QUEUED when it was read.
            now: Seconds since the Unix epoch.
            new: The sweep to create, under a key that is the night's,
            goes_on: or the id of the one that goes on; what the scheduler held is let go.

        Returns:
            False, with nothing changed, if somebody was faster, another night of the schedule runs, the
            sweep that was to go on has ended, or the schedule does not fire any more.
        """
        name = firing.schedule
        with writing(self._engine) as connection:
            schedule = lock_schedule(connection, name)
            if schedule.state is not ScheduleState.ACTIVE or _runs(connection, name):
                return False
            found = find_firing(connection, name, firing.fire_at)
            if found.state is not firing.state:
                return False
            if new is not None:
                start = _Start(self._created(connection, schedule, firing, new=new, now=now), 0.0, new)
            else:
                sweep = lock_sweep(connection, goes_on or "")
                if sweep.state.terminal or sweep.state is SweepState.STOPPING:
                    return False
                start = self._goes_on(connection, sweep, schedule.rule, now)
            return self._run(connection, schedule.rule, found, start, now)

    def hand_over(self, night: Night, firing: FiringRecord, now: float) -> bool:
        """The sweep of a night that still runs goes on as the next night's; False if either is not so."""
        old = night.firing
        with writing(self._engine) as connection:
            schedule = lock_schedule(connection, old.schedule)
            sweep = lock_sweep(connection, old.sweep_id or "")
            found = find_firing(connection, firing.schedule, firing.fire_at)
            if schedule.state is not ScheduleState.ACTIVE or found.state is not firing.state:
                return False
            if sweep.state.terminal or sweep.state is SweepState.STOPPING:
                return False
            reason = "its sweep goes on as the next night's"
            if not move(connection, old, FiringState.CLOSED, now, by=self._by, reason=reason):
                return False
            start = self._goes_on(connection, sweep, schedule.rule, now)
            return self._run(connection, schedule.rule, found, start, now)

    def move(self, firing: FiringRecord, new: FiringState, now: float, reason: str) -> bool:
        """A night's next state, and why; False if it is not what it was any more."""
        with writing(self._engine) as connection:
            return move(connection, firing, new, now, by=self._by, reason=reason)

    def close(
        self,
        night: Night,
        now: float,
        reason: str,
        *,
        hold: bool = False,
        verdict: Verdict | None = None,
    ) -> bool:
        """RUNNING to CLOSED.

        Args:
            night: As it was read.
            now: Seconds since the Unix epoch.
            reason: Why.
            hold: Keeps the sweep where it is; if it has begun to run in the meantime, nothing is done.
            verdict: On what nobody is left to judge, if it has none by now; None: there is nothing.
        """
        with writing(self._engine) as connection:
            hold_schedule(connection, night.firing.schedule)
            if hold and not self._held(connection, night.firing, now):
                return False
            if not move(connection, night.firing, FiringState.CLOSED, now, by=self._by, reason=reason):
                return False
            if verdict is not None:
                sweep = lock_sweep(connection, verdict.sweep_id)
                write_verdict(connection, Claim(sweep.sweep_id, sweep.epoch), verdict)
            return True

    def hold(self, night: Night, now: float) -> None:
        """A sweep that waits for a driver is to be started no more; one on its way is paused when it runs."""
        with writing(self._engine) as connection:
            _hold(connection, lock_sweep(connection, night.firing.sweep_id or ""), night.firing.schedule, now)

    def let_go(self, night: Night, now: float) -> None:
        """What the scheduler held goes on: another night has taken it over since."""
        with writing(self._engine) as connection:
            self._let_go(connection, night.firing.sweep_id or "", now)

    def _held(self, connection: Connection, firing: FiringRecord, now: float) -> bool:
        sweep = lock_sweep(connection, firing.sweep_id or "")
        if sweep.state not in (SweepState.PENDING, SweepState.PAUSED):
            return False
        _hold(connection, sweep, firing.schedule, now)
        return True

    def _let_go(self, connection: Connection, sweep_id: str, now: float) -> None:
        held = asked.find(connection, sweep_id)
        if held is None:
            asked.submit(connection, sweep_id, by=self._by, now=now)
        elif held.held_by is not None and is_night(held.held_by):
            asked.resume(connection, sweep_id, by=self._by, now=now)

    def _created(
        self,
        connection: Connection,
        schedule: ScheduleRecord,
        firing: FiringRecord,
        *,
        new: NewSweep,
        now: float,
    ) -> str:
        sweep = create_sweep(
            connection,
            new.spec,
            new.fingerprint,
            base=new.base,
            warm=new.warm,
            by=self._by,
            key=f"schedule\n{firing.schedule}\n{firing.fire_at:.0f}",
            rank=asked.Rank(schedule.rule.priority, schedule.rule.weight),
            now=now,
        )
        return sweep.sweep_id

    def _goes_on(self, connection: Connection, sweep: SweepRecord, rule: Rule, now: float) -> _Start:
        self._let_go(connection, sweep.sweep_id, now)
        rank = asked.Rank(rule.priority, rule.weight)  # of the schedule as it is: it may have been replaced
        asked.rank_anew(connection, sweep.sweep_id, rank, by=self._by, now=now)
        return _Start(sweep.sweep_id, held_gpu_s(connection, sweep.sweep_id, _gpus(sweep)))

    def _run(
        self, connection: Connection, rule: Rule, firing: FiringRecord, start: _Start, now: float
    ) -> bool:
        data: dict[str, Any] = {"sweep_id": start.sweep_id, "goes_on": start.new is None}
        if start.new is not None and start.new.note:
            data["note"] = start.new.note
        return move(
            connection,
            firing,
            FiringState.RUNNING,
            now,
            by=self._by,
            data=data,
            sweep_id=start.sweep_id,
            started_at=now,
            ends_at=window_end(rule, firing.why, firing.fire_at, now),
            rule=rule.document(),
            gpu_s_before=start.gpu_s,
        )


_RUNNING = (
    sa.select(
        firings,
        schedules.c.rule.label("schedule_rule"),
        sweeps.c.state.label("sweep_state"),
        sweeps.c.reason.label("sweep_reason"),
        submissions.c.held_by,
        launches.c.state.label("launch_state"),
    )
    .select_from(
        firings.join(schedules, schedules.c.name == firings.c.schedule)
        .join(sweeps, sweeps.c.sweep_id == firings.c.sweep_id)
        .outerjoin(submissions, submissions.c.sweep_id == firings.c.sweep_id)
        .outerjoin(launches, launches.c.sweep_id == firings.c.sweep_id)
    )
    .where(firings.c.state == FiringState.RUNNING.value)
    .order_by(firings.c.schedule, firings.c.fire_at)
)


def _night(connection: Connection, row: Any) -> Night:
    firing = firing_record(row)
    # Not the whole rule, which a newer version may have written: its night ends here all the same. Nights
    # that began before their rules were kept have none of their own.
    limit = (row["rule"] or row["schedule_rule"]).get("gpu_hours")
    gpu_hours = float(limit) if isinstance(limit, int | float) else None
    used_s = 0.0
    if gpu_hours is not None:
        mine = sa.select(sweeps).where(sweeps.c.sweep_id == row["sweep_id"])
        sweep = readable_sweep(connection.execute(mine).mappings().one())
        if sweep is not None:  # else its window ends it all the same
            held_s = held_gpu_s(connection, sweep.sweep_id, _gpus(sweep))
            used_s = held_s - (firing.gpu_s_before or 0.0)
    launched = row["launch_state"] in {state.value for state in UNDER_WAY}
    return Night(
        firing=firing,
        gpu_hours=gpu_hours,
        state=SweepState(row["sweep_state"]),
        reason=row["sweep_reason"],
        held_by=row["held_by"],
        launched=launched,
        gpu_s=used_s,
    )


def _runs(connection: Connection, name: str) -> bool:
    running = sa.exists().where(firings.c.schedule == name, firings.c.state == FiringState.RUNNING.value)
    return bool(connection.execute(sa.select(running)).scalar())


def _hold(connection: Connection, sweep: SweepRecord, name: str, now: float) -> None:
    """Unless somebody holds it already; the caller holds the sweep's row."""
    by = night_name(name)
    mine = submissions.c.sweep_id == sweep.sweep_id
    free = sa.update(submissions).where(mine, submissions.c.held_by.is_(None)).values(held_by=by)
    if connection.execute(free).rowcount == 1:
        sql.add_sweep_event(connection, Claim(sweep.sweep_id, sweep.epoch), "sweep.held", now, {"by": by})


def _gpus(sweep: SweepRecord) -> float:
    return sweep.spec.resources.gpus_per_trial or 0.0
