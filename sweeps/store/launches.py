"""The book of drivers' processes: which was launched, which confirmed itself, who may launch the next.

Every change is one UPDATE that names the launch's number and state, so that of two supervisors one changes
it. Who supervises is decided by a lease, and each transaction of a supervisor begins by holding it.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from sweeps.core.errors import MasksweepError
from sweeps.core.requests import RequestKind
from sweeps.core.states import SweepState, TrialState
from sweeps.core.supervision import LAUNCH_TRANSITIONS, UNDER_WAY, LaunchState
from sweeps.records import Claim
from sweeps.store import sql
from sweeps.store.asked import open_request
from sweeps.store.engine import reading, writing
from sweeps.store.find import lock_sweep
from sweeps.store.tables import launches, leases, measurements, submissions, sweeps, trials
from sweeps.store.watched import WATCHED, LaunchRecord, Watched, launch_record, watched_record

LEASE = "supervisor"


class LeaseLost(MasksweepError):
    """Another supervisor holds the lease: this one does nothing until it gets it back."""


class LaunchBook:
    """Reads and writes launches for one supervisor.

    Args:
        engine: Of a store whose schema is up to date.
        holder: Names this supervisor among all.
        lease_s: For how many seconds the lease is taken, each time.
    """

    def __init__(self, engine: Engine, holder: str, lease_s: float) -> None:
        self._engine, self.holder, self.lease_s = engine, holder, lease_s

    def hold(self, now: float) -> bool:
        """Takes the lease, or takes it again; whether this supervisor has it."""
        with writing(self._engine) as connection:
            return _take_lease(connection, self.holder, now, now + self.lease_s)

    def release(self) -> None:
        """Gives the lease back, if this supervisor has it, for another to take at once."""
        with writing(self._engine) as connection:
            mine = sa.delete(leases).where(leases.c.name == LEASE, leases.c.holder == self.holder)
            connection.execute(mine)

    def watched(self) -> list[Watched]:
        """What is submitted and not over, in the order of submission."""
        with reading(self._engine) as connection:
            return [watched_record(row) for row in connection.execute(WATCHED).mappings()]

    def launch(self, sweep_id: str) -> LaunchRecord | None:
        """How a sweep's launch stands, or None if it was not submitted."""
        with reading(self._engine) as connection:
            query = sa.select(launches).where(launches.c.sweep_id == sweep_id)
            row = connection.execute(query).mappings().one_or_none()
            return None if row is None else launch_record(row)

    def move(
        self,
        old: LaunchRecord,
        new: LaunchState,
        now: float,
        *,
        kind: str | None,
        data: Mapping[str, Any] | None = None,
        **values: Any,
    ) -> bool:
        """Changes a launch that is still as it was read; False if it is not.

        Args:
            old: As it was read.
            new: Its next state, which may be the same.
            now: Seconds since the Unix epoch.
            kind: Of the sweep's event that tells of it, or None.
            data: Of that event.
            values: Other columns of `launches`.

        Raises:
            LeaseLost: Another supervisor has the lease by now.
        """
        if new is not old.state and new not in LAUNCH_TRANSITIONS[old.state]:
            raise ValueError(f"a launch that is {old.state} cannot become {new}")
        with self._supervising(now) as connection:
            as_read = sa.update(launches).where(*_as_read(old))
            if connection.execute(as_read.values(state=new.value, **values)).rowcount != 1:
                return False
            if kind is not None:
                _tell(connection, old.sweep_id, kind, now, {"launch": values.get("number", old.number)}, data)
            return True

    def bury(self, old: LaunchRecord, now: float, reason: str, retry_after_s: Callable[[int], float]) -> int:
        """RUNNING to WAITING after a death; deaths in a row, 1 where there was progress since the last.

        Args:
            old: As it was read.
            now: Seconds since the Unix epoch.
            reason: What is known of the death.
            retry_after_s: How long to wait after so many deaths in a row.

        Raises:
            LeaseLost: Another supervisor has the lease by now.
        """
        with self._supervising(now) as connection:
            before = sa.select(launches.c.progress).where(launches.c.sweep_id == old.sweep_id)
            moved_on = _progress(connection, old.sweep_id) > connection.execute(before).scalar_one()
            failures = 1 if moved_on else old.failures + 1
            values = {
                "state": LaunchState.WAITING.value,
                "handle": None,
                "failures": failures,
                "refused": 0,
                "retry_at": now + retry_after_s(failures),
                "stopped_at": None,
                "reason": reason,
            }
            if connection.execute(sa.update(launches).where(*_as_read(old)).values(values)).rowcount == 1:
                data = {"reason": reason, "failures": failures, "retry_at": values["retry_at"]}
                _tell(connection, old.sweep_id, "driver.died", now, {"launch": old.number}, data)
        return failures

    def write_down(self, old: LaunchRecord, now: float) -> LaunchRecord | None:
        """WAITING to STARTING, the next launch: who gets it may start a process.

        None: another one did, or the sweep was paused or is to be cancelled since it was looked at.

        Raises:
            LeaseLost: Another supervisor has the lease by now.
        """
        with self._supervising(now) as connection:
            if not _may_start(connection, old.sweep_id):
                return None
            values = {
                "state": LaunchState.STARTING.value,
                "number": old.number + 1,
                "handle": None,
                "launched_at": now,
                "confirmed_at": None,
                "retry_at": None,
                "stopped_at": None,
                "progress": _progress(connection, old.sweep_id),
            }
            if connection.execute(sa.update(launches).where(*_as_read(old)).values(values)).rowcount != 1:
                return None
            _tell(connection, old.sweep_id, "driver.launched", now, {"launch": old.number + 1})
            query = sa.select(launches).where(launches.c.sweep_id == old.sweep_id)
            return launch_record(connection.execute(query).mappings().one())

    def put(self, sweep_id: str, **values: Any) -> None:
        """Sets columns of a submission that only supervisors write."""
        with writing(self._engine) as connection:
            of = sa.update(submissions).where(submissions.c.sweep_id == sweep_id)
            connection.execute(of.values(**values))

    def note(self, one: Watched, note: str | None, now: float) -> None:
        """What a person should know of a sweep, or that this is no longer so; an event tells of either, once.

        Args:
            one: As it was read.
            note: On one line, with numbers that may change; None: nothing.
            now: Seconds since the Unix epoch.

        Raises:
            LeaseLost: Another supervisor has the lease by now.
        """
        if note == one.note:
            return
        sweep_id = one.launch.sweep_id
        with self._supervising(now) as connection:
            of = sa.update(submissions).where(submissions.c.sweep_id == sweep_id)
            connection.execute(of.values(note=note))
            if note is None or one.note is None:
                _tell(connection, sweep_id, "sweep.noted", now, {"note": note})

    @contextmanager
    def _supervising(self, now: float) -> Iterator[Connection]:
        with writing(self._engine) as connection:
            if not _take_lease(connection, self.holder, now, now + self.lease_s):
                raise LeaseLost(f"another supervisor than {self.holder} has the lease")
            yield connection


def confirm(engine: Engine, sweep_id: str, number: int, now: float, *, handle: str | None) -> bool:
    """A driver's process says that it is a launch; False: that launch is over, or has a process already.

    Args:
        engine: The store's.
        sweep_id: The sweep.
        number: Of the launch.
        now: Seconds since the Unix epoch.
        handle: How its launcher finds it; None: it is known already.
    """
    values: dict[str, Any] = {"confirmed_at": now}
    if handle is not None:
        values["handle"] = handle
    with writing(engine) as connection:
        still = sa.update(launches).where(
            launches.c.sweep_id == sweep_id,
            launches.c.number == number,
            launches.c.confirmed_at.is_(None),
            launches.c.state.in_([state.value for state in UNDER_WAY]),
        )
        return connection.execute(still.values(values)).rowcount == 1


def _take_lease(connection: Connection, holder: str, now: float, until: float) -> bool:
    sql.add_new(connection, leases, {"name": LEASE, "holder": holder, "until": until})
    free = sa.or_(leases.c.holder == holder, leases.c.until <= now)
    mine = sa.update(leases).where(leases.c.name == LEASE, free).values(holder=holder, until=until)
    return connection.execute(mine).rowcount == 1


def _as_read(old: LaunchRecord) -> tuple[sa.ColumnElement[bool], ...]:
    """A launch that nobody changed since: its process may have confirmed itself, which is a change, too."""
    confirmed = launches.c.confirmed_at
    return (
        launches.c.sweep_id == old.sweep_id,
        launches.c.number == old.number,
        launches.c.state == old.state.value,
        confirmed.is_(None) if old.confirmed_at is None else confirmed == old.confirmed_at,
    )


def _may_start(connection: Connection, sweep_id: str) -> bool:
    """Whether nobody wants a sweep to stay without a driver. Who asks for it later finds the launch."""
    sweep = lock_sweep(connection, sweep_id)
    if sweep.state is SweepState.STOPPING:  # its driver only brings it to its end
        return True
    held = sa.select(submissions.c.held_by).where(submissions.c.sweep_id == sweep_id)
    kinds = (RequestKind.PAUSE, RequestKind.CANCEL)
    asked = any(open_request(connection, sweep_id, kind) for kind in kinds)
    return connection.execute(held).scalar() is None and not asked


def _progress(connection: Connection, sweep_id: str) -> int:
    """A number that grows with what a sweep has achieved: its measurements, and its trials' ends."""
    ended = [state.value for state in TrialState if state.terminal]
    measured = sa.select(sa.func.count()).select_from(measurements).where(measurements.c.sweep_id == sweep_id)
    over = sa.select(sa.func.count()).select_from(trials)
    over = over.where(trials.c.sweep_id == sweep_id, trials.c.state.in_(ended))
    return int(connection.execute(measured).scalar_one() + connection.execute(over).scalar_one())


def _tell(
    connection: Connection, sweep_id: str, kind: str, now: float, *parts: Mapping[str, Any] | None
) -> None:
    epoch = connection.execute(sa.select(sweeps.c.epoch).where(sweeps.c.sweep_id == sweep_id)).scalar_one()
    data = {name: value for part in parts if part for name, value in part.items()}
    sql.add_sweep_event(connection, Claim(sweep_id, epoch), kind, now, data)
