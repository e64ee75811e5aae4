"""What a database's complaint means: whether it may pass by itself, and what a person can do."""

import sqlite3

import sqlalchemy as sa
from sqlalchemy.engine import URL

from sweeps.core.errors import StoreUnavailable

_SQLITE_PASSING = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}
_HINTS = {
    "locked": "another program holds it; try again once that is done",
    "file is gone": "put it back, from a copy if need be: what was committed is in it alone",
    "is full": "make room there, then go on",
    "No space left": "make room there, then go on",
}


def unavailable(url: URL, error: sa.exc.DBAPIError | sa.exc.TimeoutError) -> StoreUnavailable:
    """The error that a person sees."""
    cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
    problem = " ".join(str(cause).split())
    hint = next((hint for sign, hint in _HINTS.items() if sign in problem), None)
    where = url.render_as_string(hide_password=True)
    message = f"the store {where} does not answer: {problem}"
    return StoreUnavailable(message, hint, passing=_passing(cause))


def _passing(error: BaseException | None) -> bool:
    """Whether the same may succeed later without anybody's help.

    A lock is released, and a server that was restarted or cut off comes back. A full disk, a missing table
    or a file that may not be written stays what it is.
    """
    if isinstance(error, sqlite3.Error):
        code: int = getattr(error, "sqlite_errorcode", 0)
        return code & 0xFF in _SQLITE_PASSING
    # PostgreSQL: no SQLSTATE where there was no connection any more, or none yet.
    state: str | None = getattr(error, "sqlstate", None)
    return state is None or state.startswith(_POSTGRESQL_PASSING)


_POSTGRESQL_PASSING = (
    "08",  # connection exceptions
    "57P",  # shut down by an administrator, crashed, or still starting
    "53300",  # too many connections
    "40",  # serialization failures and deadlocks
    "55P03",  # a lock that could not be had
)
