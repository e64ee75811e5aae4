"""What a display shows already, and the rows that it does not show yet. All reads and writes are short."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine, RowMapping

from sweeps.core.states import AttemptState
from sweeps.core.trial import AttemptFacts, Measurement
from sweeps.records import AttemptRecord, CurveRecord
from sweeps.store.engine import reading, writing
from sweeps.store.tables import attempts, curves, measurements, mirrored

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
        settled: Nothing more will come.
    """

    run_id: str = ""
    experiment_id: str = ""
    measured: int = -1
    curved: int = -1
    described: str = ""
    status: str = ""
    documents: str = ""
    settled: bool = False


class Marks:
    """The marks of one display, by item of a sweep.

    Args:
        engine: The store.
        target: The display, a tracking URI without secrets.
    """

    def __init__(self, engine: Engine, target: str) -> None:
        self._engine = engine
        self._target = target

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

    def _of(self, sweep_id: str) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
        return mirrored.c.target == self._target, mirrored.c.sweep_id == sweep_id

    def _row(self, sweep_id: str, item: str, mark: Mark, now: float) -> dict[str, Any]:
        cursor = asdict(mark)
        run_id = cursor.pop("run_id")
        return {
            "target": self._target,
            "sweep_id": sweep_id,
            "item": item,
            "run_id": run_id,
            "cursor": cursor,
            "at": now,
        }


def attempts_without_facts(engine: Engine, sweep_id: str) -> list[AttemptRecord]:
    """A sweep's attempts in order, with `facts` None: these are the bulk of the rows, see `facts_of`."""
    columns = [column for column in attempts.c if column.name not in ("sweep_id", "facts")]
    query = sa.select(*columns).where(attempts.c.sweep_id == sweep_id).order_by(attempts.c.number, attempts.c.attempt)
    with reading(engine) as connection:
        return [_attempt(row) for row in connection.execute(query).mappings()]


def facts_of(engine: Engine, sweep_id: str, number: int, attempt: int) -> AttemptFacts | None:
    """What an attempt ran with, or None before its first report."""
    query = sa.select(attempts.c.facts).where(
        attempts.c.sweep_id == sweep_id, attempts.c.number == number, attempts.c.attempt == attempt
    )
    with reading(engine) as connection:
        facts = connection.execute(query).scalar()
    if facts is None:
        return None
    return AttemptFacts(**{**facts, "skipped_weights": tuple(facts.get("skipped_weights", ()))})


def unshown(
    engine: Engine, sweep_id: str, number: int, attempt: int, mark: Mark
) -> tuple[list[Measurement], list[CurveRecord]]:
    """An attempt's measurements and curve points beyond its mark, each in order of iteration."""
    measured = (
        sa.select(measurements.c.iteration, measurements.c.at, measurements.c.metrics)
        .where(
            measurements.c.sweep_id == sweep_id,
            measurements.c.number == number,
            measurements.c.attempt == attempt,
            measurements.c.iteration > mark.measured,
        )
        .order_by(measurements.c.iteration)
    )
    curved = (
        sa.select(curves.c.iteration, curves.c.at, curves.c["values"])
        .where(
            curves.c.sweep_id == sweep_id,
            curves.c.number == number,
            curves.c.attempt == attempt,
            curves.c.iteration > mark.curved,
        )
        .order_by(curves.c.iteration)
    )
    with reading(engine) as connection:
        return (
            [Measurement(number, attempt, *row) for row in connection.execute(measured)],
            [CurveRecord(number, attempt, *row) for row in connection.execute(curved)],
        )


def _attempt(row: RowMapping) -> AttemptRecord:
    values = {**row, "state": AttemptState(row["state"])}
    return AttemptRecord(**values, facts=None)


def _insert(connection: Connection) -> Any:
    return sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
