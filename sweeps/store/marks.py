"""What a display shows already, and the rows that it does not show yet. All reads and writes are short."""

import fcntl
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine

from sweeps.core.details import EvaluationDetails, details_from_document
from sweeps.core.trial import AttemptFacts, Measurement
from sweeps.records import AttemptRecord, CurveRecord
from sweeps.store import rows
from sweeps.store.engine import reading, writing
from sweeps.store.tables import attempts, curves, details, measurements, mirrored

SWEEP = "sweep"
"""The item that stands for the sweep itself; an attempt's is `3/1`: trial 3, attempt 1."""


def item_of(number: int, attempt: int) -> str:
    """An attempt's item."""
    return f"{number}/{attempt}"


@dataclass(frozen=True, slots=True)
class Mark:
    """How much of an item is shown.

    Attributes:
        run_id: The display's run, or the empty string where one is about to be made: it may exist or not.
        experiment_id: The run's experiment.
        measured: Measurements up to this iteration are shown (of a sweep: this many ended trials).
        curved: Curve points up to this iteration are shown.
        described: Digest of the tags and times shown.
        status: The status shown.
        documents: Digest of the artifacts and data-set inputs shown.
        settled: Nothing more will come but means over replicates.
        replicates: Means over so many runs are shown (of a sweep: after so many replicates).
    """

    run_id: str = ""
    experiment_id: str = ""
    measured: int = -1
    curved: int = -1
    described: str = ""
    status: str = ""
    documents: str = ""
    settled: bool = False
    replicates: int = 0


class Marks:
    """The marks of one display, by item of a sweep.

    Args:
        engine: The store.
        target: The display, a tracking URI without secrets.
    """

    def __init__(self, engine: Engine, target: str) -> None:
        self._engine = engine
        self.target = target

    def load(self, sweep_id: str) -> dict[str, Mark]:
        """All marks of a sweep by item."""
        query = sa.select(mirrored.c.item, mirrored.c.run_id, mirrored.c.cursor).where(*self._of(sweep_id))
        with reading(self._engine) as connection:
            return {item: Mark(run_id=run_id, **cursor) for item, run_id, cursor in connection.execute(query)}

    def save(self, sweep_id: str, marks: Mapping[str, Mark], now: float) -> None:
        """Writes marks, new or not, in one transaction."""
        if not marks:
            return
        with writing(self._engine) as connection:
            insert = _insert(connection)(mirrored)
            upsert = insert.on_conflict_do_update(
                index_elements=[c.name for c in mirrored.primary_key],
                set_={name: insert.excluded[name] for name in ("run_id", "cursor", "at")},
            )
            connection.execute(upsert, [self._row(sweep_id, item, mark, now) for item, mark in marks.items()])

    def forget(self, sweep_id: str, items: Iterable[str] | None = None) -> None:
        """Drops a sweep's marks, or those of some items: they are shown again from the beginning."""
        where = list(self._of(sweep_id))
        if items is not None:
            where.append(mirrored.c.item.in_(list(items)))
        with writing(self._engine) as connection:
            connection.execute(sa.delete(mirrored).where(*where))

    @contextmanager
    def exclusive(self, sweep_id: str) -> Iterator[None]:
        """Waits until nobody else ships this sweep to this display; two at once would make runs twice.

        Blocks no writer of the store, and ends with the process that holds it: a file lock beside a SQLite
        store, an advisory lock on PostgreSQL.
        """
        if self._engine.dialect.name == "sqlite":
            with open(f"{self._engine.url.database}.mirror.lock", "ab") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield
            return
        digest = hashlib.sha256(f"{self.target} {sweep_id}".encode()).digest()
        key = int.from_bytes(digest[:8], signed=True)
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.select(sa.func.pg_advisory_lock(key)))
            try:
                yield
            finally:
                connection.execute(sa.select(sa.func.pg_advisory_unlock(key)))

    def _of(self, sweep_id: str) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
        return mirrored.c.target == self.target, mirrored.c.sweep_id == sweep_id

    def _row(self, sweep_id: str, item: str, mark: Mark, now: float) -> dict[str, Any]:
        cursor = asdict(mark)
        run_id = cursor.pop("run_id")
        return {
            "target": self.target,
            "sweep_id": sweep_id,
            "item": item,
            "run_id": run_id,
            "cursor": cursor,
            "at": now,
        }


def attempts_without_facts(engine: Engine, sweep_id: str) -> list[AttemptRecord]:
    """A sweep's attempts in order, with `facts` None: these are the bulk of the rows, see `facts_of`."""
    light = [column for column in attempts.c if column.name != "facts"]
    query = sa.select(*light, sa.null().label("facts")).where(attempts.c.sweep_id == sweep_id)
    with reading(engine) as connection:
        ordered = connection.execute(query.order_by(attempts.c.number, attempts.c.attempt))
        return [rows.attempt_record(row) for row in ordered.mappings()]


def facts_of(engine: Engine, sweep_id: str, number: int, attempt: int) -> AttemptFacts | None:
    """What an attempt ran with, or None before its first report."""
    query = sa.select(attempts).where(*_of(attempts, sweep_id, number, attempt))
    with reading(engine) as connection:
        return rows.attempt_record(connection.execute(query).mappings().one()).facts


def last_details_of(engine: Engine, sweep_id: str, number: int, attempt: int) -> EvaluationDetails | None:
    """The details of the last rung that an attempt measured, or None if it has none."""
    measured = sa.select(details.c.document).outerjoin_from(
        measurements,
        details,
        sa.and_(*(details.c[key.name] == key for key in measurements.primary_key)),
    )
    last = measured.where(*_of(measurements, sweep_id, number, attempt)).order_by(
        measurements.c.iteration.desc()
    )
    with reading(engine) as connection:
        document = connection.execute(last.limit(1)).scalar()
    return None if document is None else details_from_document(document)


def unshown(
    engine: Engine, sweep_id: str, number: int, attempt: int, mark: Mark
) -> tuple[list[Measurement], list[CurveRecord]]:
    """An attempt's measurements and curve points beyond its mark, each in order of iteration."""
    of = (sweep_id, number, attempt)
    measured = sa.select(measurements).where(
        *_of(measurements, *of), measurements.c.iteration > mark.measured
    )
    curved = sa.select(curves).where(*_of(curves, *of), curves.c.iteration > mark.curved)
    with reading(engine) as connection:
        found = connection.execute(measured.order_by(measurements.c.iteration)).mappings()
        points = connection.execute(curved.order_by(curves.c.iteration)).mappings()
        return [rows.measurement(row) for row in found], [rows.curve_record(row) for row in points]


def _of(table: sa.Table, sweep_id: str, number: int, attempt: int) -> tuple[sa.ColumnElement[bool], ...]:
    return table.c.sweep_id == sweep_id, table.c.number == number, table.c.attempt == attempt


def _insert(connection: Connection) -> Any:
    return sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
