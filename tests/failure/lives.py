"""Lives of a driver without Ray, to be disturbed: search, worker and store in a process of their own.

Run as a script this is where they come from: for each line of JSON on stdin it forks a process that drives
the sweep, and answers with a line when that has ended. A fork of a warm process starts in milliseconds, and
dies of kill -9 like any other.
"""

import contextlib
import gc
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from tests.failure.outages import Locked, Outage, Stopped
from tests.failure.shaky_mlflow import Mlflow, Shaky

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Kill:
    """The driver dies `before` or `after` its commit of that number, from 1."""

    when: Literal["before", "after"]
    commit: int


@dataclass(frozen=True)
class Cut:
    """The driver's connection is cut at each second commit: before it, or before its answer comes.

    What is done again is so not disturbed again. On PostgreSQL the server ends the session; SQLite has none,
    and says that it is locked.
    """

    what: Literal["commit", "answer"]


@dataclass(frozen=True)
class Away:
    """The store goes away at the commit of that number: PostgreSQL in it, SQLite right behind it.

    Attributes:
        commit: From 1.
        naps: How often the driver waits until the store is back; None: it does not come back.
        pgdata: The PostgreSQL server's directory, or None for an SQLite file that is locked.
    """

    commit: int
    naps: int | None = 3
    pgdata: str | None = None


@dataclass(frozen=True)
class Full:
    """The disk of the store's SQLite file has no room left from the commit of that number on, from 1."""

    commit: int


Fault = Kill | Cut | Away | Full


@dataclass(frozen=True)
class Ask:
    """Somebody else asks for something right after the driver's commit of that number, from 1.

    Attributes:
        what: The request; `extend` is by two trials.
        commit: From 1.
    """

    what: Literal["pause", "cancel", "extend"]
    commit: int


@dataclass(frozen=True)
class Life:
    """How a driver's life ended.

    Attributes:
        code: The exit code, negative for a signal.
        commits: Transactions that it committed, or was about to.
        notes: What it said, by line.
        error: The exception that ended it, or the empty string.
        took_s: Seconds from its start to its end.
    """

    code: int
    commits: int
    notes: list[str]
    error: str
    took_s: float


class Lives:
    """Starts lives, one after another."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def live(
        self,
        url: str,
        sweep_id: str,
        directory: Path,
        fault: Fault | None = None,
        *,
        log: Path | None = None,
        weight: int = 0,
        needs: Mapping[int, float] | None = None,
        faults: Mapping[int, str] | None = None,
        workers: int = 1,
        leak: int = 0,
        ask: Ask | None = None,
        mlflow: Mlflow | None = None,
    ) -> Life:
        """One life, from its claim to its end.

        Args:
            url: The store.
            sweep_id: What to drive.
            directory: The sweep's.
            fault: What happens to it, or None.
            log: What gets what is trained; `iterations.log` in the directory by default.
            weight: Bytes of a checkpoint.
            needs: By trial, the share of a GPU without which it runs out of memory; trials then hold a half.
            faults: By trial, the failure that each of its attempts reports at its first rung.
            workers: Trials at once, which take turns; on one device, if they have any.
            leak: Bytes that a worker takes with each of its steps and never gives back.
            ask: What somebody asks of the sweep meanwhile, or None.
            mlflow: Where the sweep is mirrored to, or None.
        """
        order: dict[str, Any] = {"url": url, "sweep_id": sweep_id, "directory": str(directory)}
        order |= {"log": str(log or directory / "iterations.log"), "weight": weight, "fault": None}
        order["needs"], order["faults"] = dict(needs or {}), dict(faults or {})
        order["workers"], order["leak"] = workers, leak
        order["ask"] = asdict(ask) if ask else None
        order["mlflow"] = asdict(mlflow) if mlflow else None
        if fault is not None:
            order |= {"fault": {"kind": type(fault).__name__, **asdict(fault)}}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return Life(**json.loads(self._process.stdout.readline()))


@contextmanager
def lives() -> Iterator[Lives]:
    """A source of lives."""
    command = [sys.executable, "-m", "tests.failure.lives"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        yield Lives(process)


class Disturbed:
    """An engine's commits, with a fault among them."""

    def __init__(self, engine: Any, fault: dict[str, Any] | None, tell: Callable[[str], None]) -> None:
        self._engine, self._tell, self._commit = engine, tell, engine.dialect.do_commit
        self._count, self._naps, self._now = 0, 0, 0.0
        self._fault: Fault | None = None
        if fault is not None:
            kind = fault.pop("kind")
            self._fault = {"Kill": Kill, "Cut": Cut, "Away": Away, "Full": Full}[kind](**fault)
        self._outage: Outage | None = None
        self.on_commit: Callable[[int], None] = lambda _: None
        engine.dialect.do_commit = self.commit

    def commit(self, connection: Any) -> None:
        """Commits, or not."""
        self._count += 1
        self._tell("commit")
        match self._fault:
            case Kill("before", self._count):
                os.kill(os.getpid(), signal.SIGKILL)
            case Cut("commit") if self._count % 2:
                self._cut(connection)
            case Away(self._count, pgdata=str(pgdata)):
                self._go_away(Stopped(Path(pgdata)))
            case Full(self._count):
                fill(Path(self._engine.url.database).with_name("ballast"))
        self._commit(connection)
        self.on_commit(self._count)
        match self._fault:
            case Kill("after", self._count):
                os.kill(os.getpid(), signal.SIGKILL)
            case Cut("answer") if self._count % 2:
                self._cut(connection)
                connection.cursor().execute("SELECT 1")  # finds out
            case Away(self._count, pgdata=None):  # before it, the lock is this driver's own
                self._go_away(Locked(Path(self._engine.url.database)))

    def clock(self) -> float:
        """Seconds that pass in naps alone."""
        return self._now

    def nap(self, seconds: float) -> None:
        """Where the driver waits. The outage ends here."""
        self._now += seconds
        self._naps += 1
        if self._outage is not None and isinstance(self._fault, Away) and self._naps == self._fault.naps:
            self._outage.end()

    def _cut(self, connection: Any) -> None:
        """Ends the session, as its server would; of SQLite a complaint that passes will do."""
        if self._engine.dialect.name == "postgresql":
            import psycopg

            url = self._engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
            with psycopg.connect(url) as other:
                pid = connection.driver_connection.info.backend_pid
                other.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])
        else:
            import sqlite3

            if connection.in_transaction:
                connection.rollback()
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = sqlite3.SQLITE_BUSY
            raise error

    def _go_away(self, outage: Outage) -> None:
        self._outage = outage
        outage.begin()


def fill(ballast: Path, leave: int = 0) -> None:
    """Fills a file's disk, but for some bytes."""
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    os.truncate(ballast, max(0, ballast.stat().st_size - leave))


def drive(order: dict[str, Any], tell: Callable[[str], None]) -> None:
    """Claims a sweep, runs it to its end, and leaves it."""
    from runners.curves.worker import AnalyticWorker
    from runners.retention import Retention
    from runners.testing import CurveWorker
    from sweeps.patience import Waiting
    from sweeps.search import Search
    from sweeps.service import SweepService
    from sweeps.store.engine import open_engine

    directory = Path(order["directory"])
    directory.mkdir(parents=True, exist_ok=True)
    engine = open_engine(order["url"], busy_s=0.0)
    disturbed = Disturbed(engine, order["fault"], tell)
    service = SweepService(engine, Waiting(disturbed.clock, disturbed.nap, partial(_note, tell)))
    shaky = None
    if order["mlflow"]:
        mlflow = {**order["mlflow"], "turns": tuple(order["mlflow"]["turns"])}
        shaky = Shaky(Mlflow(**mlflow), SweepService(open_engine(order["url"])), order["sweep_id"])
        disturbed.on_commit = shaky.at
    if order["ask"]:
        disturbed.on_commit = partial(_asked, order, Ask(**order["ask"]))
    claim = service.claim(order["sweep_id"], time.time())
    retention = Retention(directory / "trials", lambda number: search.checkpoint(number))  # noqa: PLW0108
    search = Search(
        service,
        claim,
        directory=directory,
        workers=order["workers"],
        devices=0.5 if order["needs"] else 0.0,
        beside=1 if order["needs"] else None,
        clock=time.time,
        on_change=retention,
    )
    retention.sweep(search.progress())
    needs = {int(number): share for number, share in order["needs"].items()}
    faults = {int(number): kind for number, kind in order["faults"].items()}
    plans: dict[str, Any] = {"needs": needs, "faults": faults, "always": True}
    spec = service.sweep(order["sweep_id"]).spec
    made: Callable[[], Any] = partial(AnalyticWorker, spec, checkpoint_s=60.0)
    if not spec.base.synthetic:
        plans |= {"weight": order["weight"], "leak": order["leak"]}
        made = partial(CurveWorker, log=Path(order["log"]), **plans)
    _run(search, made, order["workers"], watched=bool(order["leak"]))
    retention.sweep(search.progress())
    ending = search.ending()
    service.finish(claim, ending.state, ending.reason, time.time())
    if shaky is not None and not shaky.stop():
        tell("note MLflow lags behind")
    engine.dispose()


def _run(search: Any, made: Callable[[], Any], places: int, *, watched: bool) -> None:
    """What an executor does: so many workers take turns, on one device, each in its share of that.

    `watched`: a worker's memory is looked at between two trials, which takes a moment.
    """
    from sweeps.core.trial import Assignment, Decision

    idle = [made() for _ in range(places)]
    waiting: list[Assignment] = []
    running: list[tuple[Assignment, Any]] = []
    used: set[int] = set()
    while True:
        while len(waiting) < len(idle) and isinstance(turn := search.next(), Assignment):
            waiting.append(turn)
        while waiting and waiting[0].gpus + sum(each.gpus for each, _ in running) <= 1:
            assignment, worker = waiting.pop(0), idle.pop(0)
            if watched and id(worker) in used and (why := worker.worn_out()):
                search.replaced(assignment.number, assignment.attempt, why)
                used.discard(id(worker))
                worker = made()
            used.add(id(worker))
            worker.start(assignment)
            search.begun(assignment.number)
            running.append((assignment, worker))
        if not running:
            return
        assignment, worker = running.pop(0)
        if search.report(worker.step()) is Decision.CONTINUE:
            running.append((assignment, worker))
        else:
            idle.append(worker)


def _asked(order: dict[str, Any], ask: Ask, commit: int) -> None:
    """Asks through a connection of its own, as another process does."""
    from sweeps.core.extension import Extension
    from sweeps.core.requests import RequestKind
    from sweeps.store.control import SweepControl
    from sweeps.store.engine import open_engine

    if commit != ask.commit:
        return
    engine = open_engine(order["url"])
    control = SweepControl(engine, is_dead=lambda _: False)  # by pid, it would be the one that asks
    sweep_id, who = order["sweep_id"], {"by": "ann@desk", "now": time.time()}
    if ask.what == "extend":
        control.extend(sweep_id, Extension(trials=2), **who)
    else:
        control.ask(sweep_id, RequestKind(ask.what), **who)
    engine.dispose()


def _note(tell: Callable[[str], None], note: str) -> None:
    tell(f"note {note}")


def _live(line: str, told: int) -> None:
    """The forked process."""

    def tell(what: str) -> None:
        os.write(told, f"{what}\n".encode())

    try:
        drive(json.loads(line), tell)
    except BaseException as error:
        tell(f"error {type(error).__name__}: {error}".replace("\n", " "))
        sys.excepthook(type(error), error, error.__traceback__)
        os._exit(1)
    os._exit(0)


def main() -> None:
    """Answers orders until stdin ends."""
    import optuna  # noqa: F401 - and with it all that the forks need
    import psycopg  # noqa: F401

    import runners.curves.worker
    import runners.retention
    import runners.testing  # noqa: F401
    import sweeps.search
    import sweeps.store.control  # noqa: F401

    # what a killed process has written is the kernel's by then: only a power cut, which nobody inflicts here,
    # takes what was not synced, and thirty waits for the disk are half of a life
    os.fsync = lambda fd: None
    gc.freeze()  # else each fork's first collection copies all of this
    for line in sys.stdin:
        hear, told = os.pipe()
        began = time.monotonic()
        child = os.fork()
        if child == 0:
            os.close(hear)
            _live(line, told)
        os.close(told)
        with os.fdopen(hear) as pipe:
            said = [words.rstrip("\n").partition(" ") for words in pipe]
        _, status = os.waitpid(child, 0)
        life = Life(
            os.waitstatus_to_exitcode(status),
            sum(kind == "commit" for kind, _, _ in said),
            [text for kind, _, text in said if kind == "note"],
            "".join(text for kind, _, text in said if kind == "error"),
            time.monotonic() - began,
        )
        print(json.dumps(asdict(life)), flush=True)


if __name__ == "__main__":
    main()
