"""A transaction that is made again when the store did not answer, and takes effect once.

The hard case is a commit whose answer is lost: it may have happened or not. Every write of a driver leaves an
event, and only one driver writes at a time, so that the store itself tells: if the event is there, the
transaction was committed.
"""

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.engine import Connection, Engine

from sweeps.store import sql
from sweeps.store.engine import Patience, writing

_T = TypeVar("_T")


def write(engine: Engine, patience: Patience, body: Callable[[Connection], _T]) -> _T:
    """What `body` returns, once it is committed.

    Args:
        engine: The store's.
        patience: Makes attempts, one or more.
        body: Reads and writes through the connection, and does nothing else: it may be called again. Where
            it leaves no event, doing it twice must be as good as once.

    Raises:
        StoreUnavailable: The database does not answer. Nothing was written, unless the answer to the last
            attempt's commit was lost.
    """
    sent: tuple[_T, sql.Written | None] | None = None

    def attempt() -> _T:
        nonlocal sent
        with writing(engine) as connection:
            if sent is not None and sent[1] is not None and sql.is_written(connection, sent[1]):
                return sent[0]
            sent = None
            sql.forget_written(connection)
            result = body(connection)
            sent = result, sql.last_written(connection)
        return result

    return patience(attempt)
