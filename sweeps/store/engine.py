"""Opens the store's database, and says how a transaction begins.

On SQLite a reader takes a snapshot and blocks nobody; a writer takes the write lock when it begins, so that
it can neither deadlock nor find its snapshot outdated. On PostgreSQL a writer is a plain transaction, and a
reader's queries each see what is committed by then, as in a plain transaction, without the two round trips
that beginning and ending one costs.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.pool import ConnectionPoolEntry

from sweeps.core.errors import MissingExtra, UserError
from sweeps.store.trouble import unavailable

_BUSY_S = 30.0
_WRITE_AHEAD = "journal_mode=WAL"  # readers and the writer do not block each other
_PRAGMAS = (
    _WRITE_AHEAD,
    "synchronous=NORMAL",  # kill -9 loses nothing; a power cut may lose the last moments, never the file
    "foreign_keys=ON",
    "temp_store=MEMORY",
)


_LIBPQ = {
    # A server that went without a word, as one behind a firewall does, is noticed within a minute: else a
    # driver would wait for its answer for two hours.
    "connect_timeout": 10,
    "keepalives_idle": 20,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 50_000,
}


def open_engine(url: str, *, busy_s: float = _BUSY_S) -> Engine:
    """The engine of a store.

    Args:
        url: `sqlite:////absolute/path.db` (made if absent) or `postgresql://user@host/database`.
        busy_s: Seconds for which SQLite itself waits for another process's transaction.

    Raises:
        UserError: The URL is of neither kind, or the directory cannot be made.
        MissingExtra: PostgreSQL is asked for and its driver is not installed.
    """
    try:
        parsed = make_url(url)
    except (sa.exc.ArgumentError, ValueError) as error:  # not shown: it may hold a password
        raise UserError("the store's address is no database URL", _URL_HINT) from error
    match parsed.get_backend_name():
        case "sqlite":
            return _open_sqlite(parsed, busy_s)
        case "postgresql":
            return _open_postgresql(parsed)
        case other:
            raise UserError(f"the store cannot be a {other} database", _URL_HINT)


_URL_HINT = "use sqlite:////absolute/path.db or postgresql://user@host/database"


_T = TypeVar("_T")


class Patience(Protocol):
    """Makes an attempt again while the store does not answer."""

    def __call__(self, attempt: Callable[[], _T], /) -> _T:
        """What `attempt` returns.

        Raises:
            StoreUnavailable: As the last attempt did.
        """


def impatient(attempt: Callable[[], _T], /) -> _T:
    """Makes one attempt."""
    return attempt()


@contextmanager
def reading(engine: Engine, patience: Patience = impatient) -> Iterator[Connection]:
    """A connection for queries, which blocks no writer; on SQLite all of them see the same snapshot.

    Args:
        engine: The store's.
        patience: Asked to connect, which is where a store that is away is noticed.

    Raises:
        StoreUnavailable: The database does not answer.
    """
    transaction = patience(partial(_begin, engine, immediate=False))
    with transaction.connection as connection, _answering(engine), _left_clean(connection):
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that may write: committed at the end of the block, rolled back if it raises.

    Raises:
        StoreUnavailable: The database does not answer. Nothing was written, unless it was the answer to the
            commit that got lost: `sweeps.store.write` finds that out.
    """
    transaction = _begin(engine, immediate=True)
    with transaction.connection as connection, _answering(engine), _left_clean(connection), transaction:
        yield connection


@contextmanager
def _left_clean(connection: Connection) -> Iterator[None]:
    """Gives no connection back to the pool that something was cut short on.

    A result that was not read to its end keeps SQLite's snapshot for as long as anybody holds on to it, as a
    traceback does: who got the connection next would read what was, and could not write.
    """
    try:
        yield
    except BaseException:
        if connection.dialect.name == "sqlite" and not connection.closed:
            connection.invalidate()
        raise


def _begin(engine: Engine, *, immediate: bool) -> sa.RootTransaction:
    with _answering(engine):
        connection = engine.connect().execution_options(immediate=immediate)
        if not immediate and engine.dialect.name == "postgresql":
            connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        try:
            return connection.begin()
        except BaseException:
            connection.close()
            raise


@contextmanager
def _answering(engine: Engine) -> Iterator[None]:
    try:
        yield
    except (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError) as error:
        # TimeoutError: the pool had no connection free for too long.
        raise unavailable(engine.url, error) from error


def _open_sqlite(url: URL, busy_s: float) -> Engine:
    if not url.database or url.database == ":memory:":
        raise UserError("the store must be a file", _URL_HINT)
    directory = Path(url.database).parent
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"the store's directory {directory} cannot be made: {error.strerror}") from error
    engine = sa.create_engine(url, connect_args={"timeout": busy_s})
    path = Path(url.database)
    _mind_the_file(engine, path)

    @event.listens_for(engine, "do_connect")
    def choose(_: Any, __: Any, arguments: list[Any], options: dict[str, Any]) -> None:
        if _read_only(path):
            # What nobody can write has no write-ahead log to look at, unless one was left there.
            log = path.with_name(f"{path.name}-wal")
            frozen = "" if log.exists() and log.stat().st_size else "&immutable=1"
            arguments[0] = f"file:{quote(str(path.absolute()))}?mode=ro{frozen}"
            options["uri"] = True

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        connection.isolation_level = None  # sqlite3's own BEGIN comes late; `begin` below says it
        for pragma in _PRAGMAS:
            if pragma is not _WRITE_AHEAD or not _read_only(path):
                connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        immediate = connection.get_execution_options().get("immediate", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine


def _mind_the_file(engine: Engine, path: Path) -> None:
    """Notices a file that is deleted, or another one in its place, while it is in use.

    SQLite would go on with the deleted one for as long as a connection lives, and lose it all with the last,
    or make an empty one.
    """
    opened = False

    @event.listens_for(engine, "do_connect")
    def refuse(*_: Any) -> None:
        if opened and _identity(path) is None:
            raise sqlite3.OperationalError("its file is gone")

    @event.listens_for(engine, "connect")
    def remember(_: object, record: ConnectionPoolEntry) -> None:
        nonlocal opened
        opened = True
        record.info["file"] = _identity(path)

    @event.listens_for(engine, "checkout")
    def compare(_: object, record: ConnectionPoolEntry, __: object) -> None:
        if record.info["file"] != _identity(path):
            raise sa.exc.DisconnectionError("another file")  # the pool connects again


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from another of its name; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _read_only(path: Path) -> bool:
    """Whether the file is there and may only be read: SQLite writes beside it as well."""
    return path.exists() and not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK))


def _open_postgresql(url: URL) -> Engine:
    try:
        import psycopg  # noqa: F401, PLC0415
    except ImportError as error:
        raise MissingExtra(
            "a PostgreSQL store needs psycopg", "pip install 'masksweep[postgresql]'"
        ) from error
    return sa.create_engine(
        url.set(drivername="postgresql+psycopg"), pool_pre_ping=True, connect_args=_LIBPQ | dict(url.query)
    )
