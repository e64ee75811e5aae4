"""The book of drivers' processes: which was launched, which confirmed itself, who may launch the next.

Every change is one UPDATE that names the launch's number and state, so that of two supervisors one changes
it. Who supervises is decided by a lease, and each transaction of a supervisor begins by holding it.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from sweeps.core.errors import MasksweepError
from sweeps.core.requests import RequestKind, RequestState
from sweeps.core.states import SweepState, TrialState
from sweeps.core.supervision import LAUNCH_TRANSITIONS, LaunchState
from sweeps.records import Claim, Driver
from sweeps.store import sql
from sweeps.store.engine import reading, writing
from sweeps.store.tables import launches, leases, measurements, requests, submissions, sweeps, trials

LEASE = "supervisor"


class LeaseLost(MasksweepError):
    """Another supervisor holds the lease: this one does nothing until it gets it back."""


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
        retry_at: Not to be launched before, or None.
        stopped_at: When the process was told to stop, or None.
        reason: Of the last death, or None.
    """

    sweep_id: str
    number: int
    state: LaunchState
    handle: str | None
    launched_at: float | None
    confirmed_at: float | None
    failures: int
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
        note: What a person should know, or None.
        open_request: Of the oldest pause or cancellation that waits: id, kind, time; or None.
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
    note: str | None
    open_request: tuple[int, RequestKind, float] | None
    left: bool


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
            return [_watched(row) for row in connection.execute(_WATCHED).mappings()]

    def launch(self, sweep_id: str) -> LaunchRecord | None:
        """How a sweep's launch stands, or None if it was not submitted."""
        with reading(self._engine) as connection:
            query = sa.select(launches).where(launches.c.sweep_id == sweep_id)
            row = connection.execute(query).mappings().one_or_none()
            return None if row is None else _launch(row)

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
                "retry_at": now + retry_after_s(failures),
                "stopped_at": None,
                "reason": reason,
            }
            if connection.execute(sa.update(launches).where(*_as_read(old)).values(values)).rowcount == 1:
                data = {"reason": reason, "failures": failures, "retry_at": values["retry_at"]}
                _tell(connection, old.sweep_id, "driver.died", now, {"launch": old.number}, data)
        return failures

    def write_down(self, old: LaunchRecord, now: float) -> LaunchRecord | None:
        """WAITING to STARTING, the next launch: who gets it may start a process. None: another one did.

        Raises:
            LeaseLost: Another supervisor has the lease by now.
        """
        with self._supervising(now) as connection:
            values = {
                "state": LaunchState.STARTING.value,
                "number": old.number + 1,
                "handle": None,
                "launched_at": now,
                "confirmed_at": None,
                "stopped_at": None,
                "progress": _progress(connection, old.sweep_id),
            }
            if connection.execute(sa.update(launches).where(*_as_read(old)).values(values)).rowcount != 1:
                return None
            _tell(connection, old.sweep_id, "driver.launched", now, {"launch": old.number + 1})
            query = sa.select(launches).where(launches.c.sweep_id == old.sweep_id)
            return _launch(connection.execute(query).mappings().one())

    def put(self, sweep_id: str, **values: Any) -> None:
        """Sets columns of a submission that only supervisors write."""
        with writing(self._engine) as connection:
            of = sa.update(submissions).where(submissions.c.sweep_id == sweep_id)
            connection.execute(of.values(**values))

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
            launches.c.state.in_([LaunchState.STARTING.value, LaunchState.RUNNING.value]),
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


_TERMINAL = [state.value for state in SweepState if state.terminal]
_ASKED = [RequestKind.PAUSE.value, RequestKind.CANCEL.value]
_first_open = (
    sa.select(sa.func.min(requests.c.request_id))
    .where(
        requests.c.sweep_id == submissions.c.sweep_id,
        requests.c.state == RequestState.OPEN.value,
        requests.c.kind.in_(_ASKED),
    )
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
_WATCHED = (
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


def _launch(row: Any) -> LaunchRecord:
    return LaunchRecord(
        row["sweep_id"],
        row["number"],
        LaunchState(row["state"]),
        row["handle"],
        row["launched_at"],
        row["confirmed_at"],
        row["failures"],
        row["retry_at"],
        row["stopped_at"],
        row["reason"],
    )


def _watched(row: Any) -> Watched:
    asked = row["asked_id"]
    host = row["driver_host"]
    return Watched(
        launch=_launch(row),
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
        note=row["note"],
        open_request=None if asked is None else (asked, RequestKind(row["asked_kind"]), row["asked_at"]),
        left=bool(row["left"]),
    )
