"""Opens the store's database, and says how a transaction begins.

On SQLite a reader takes a snapshot and blocks nobody; a writer takes the write lock when it begins, so that
it can neither deadlock nor find its snapshot outdated. On PostgreSQL both are plain transactions.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine, make_url

from sweeps.core.errors import MissingExtra, UserError

_BUSY_MS = 30_000
_PRAGMAS = (
    f"busy_timeout={_BUSY_MS}",  # first: the switch to WAL may have to wait for another process
    "journal_mode=WAL",  # readers and the writer do not block each other
    "synchronous=NORMAL",  # kill -9 loses nothing; a power cut may lose the last moments, never the file
    "foreign_keys=ON",
    "temp_store=MEMORY",
)


def open_engine(url: str) -> Engine:
    """The engine of a store.

    Args:
        url: `sqlite:////absolute/path.db` (made if absent) or `postgresql://user@host/database`.

    Raises:
        UserError: The URL is of neither kind, or the directory cannot be made.
        MissingExtra: PostgreSQL is asked for and its driver is not installed.
    """
    try:
        parsed = make_url(url)
    except sa.exc.ArgumentError as error:
        raise UserError(f"{url!r} is no database URL", _URL_HINT) from error
    match parsed.get_backend_name():
        case "sqlite":
            return _open_sqlite(parsed)
        case "postgresql":
            return _open_postgresql(parsed)
        case other:
            raise UserError(f"the store cannot be a {other} database", _URL_HINT)


_URL_HINT = "use sqlite:////absolute/path.db or postgresql://user@host/database"


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection for queries, which blocks no writer; on SQLite all of them see the same snapshot."""
    with engine.connect() as connection:
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that may write: committed at the end of the block, rolled back if it raises."""
    with engine.connect() as connection:
        connection.info["immediate"] = True
        try:
            with connection.begin():
                yield connection
        finally:
            connection.info["immediate"] = False


def _open_sqlite(url: URL) -> Engine:
    if not url.database or url.database == ":memory:":
        raise UserError("the store must be a file", _URL_HINT)
    directory = Path(url.database).parent
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"the store's directory {directory} cannot be made: {error.strerror}") from error
    engine = sa.create_engine(url, connect_args={"timeout": _BUSY_MS / 1000})

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        connection.isolation_level = None  # sqlite3's own BEGIN comes late; `begin` below says it
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        immediate = connection.info.get("immediate", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine


def _open_postgresql(url: URL) -> Engine:
    try:
        import psycopg  # noqa: F401, PLC0415
    except ImportError as error:
        raise MissingExtra(
            "a PostgreSQL store needs psycopg", "pip install 'masksweep[postgresql]'"
        ) from error
    return sa.create_engine(url.set(drivername="postgresql+psycopg"), pool_pre_ping=True)
