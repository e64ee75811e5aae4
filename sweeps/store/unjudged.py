"""A night that is over, has something to judge, and no driver to do it: that is a verdict as well.

Its best is not lost: the sweep goes on with the next night, whose verdict is on the best of all of it.
"""

from dataclasses import dataclass

from sqlalchemy.engine import Connection

from sweeps.core.champion import Decision
from sweeps.records import Claim, SweepRecord
from sweeps.store import sql
from sweeps.store.firings import FiringRecord
from sweeps.store.schedules import add_event
from sweeps.store.tables_night import verdicts


@dataclass(frozen=True, slots=True)
class Unjudged:
    """The best of a night that nobody judged.

    Attributes:
        number: Of its trial.
        why: Nobody did, in words.
    """

    number: int
    why: str

    @property
    def reason(self) -> str:
        """Of the verdict."""
        return f"trial {self.number} was not judged: {self.why}"


def tell_unjudged(
    connection: Connection, firing: FiringRecord, sweep: SweepRecord, unjudged: Unjudged, now: float
) -> None:
    """Writes the verdict, unless there is one; the caller holds the rows of the schedule and the sweep."""
    row = {
        "schedule": firing.schedule,
        "fire_at": firing.fire_at,
        "decision": Decision.FAILED.value,
        "reason": unjudged.reason,
        "sweep_id": sweep.sweep_id,
        "number": unjudged.number,
        "against": None,
        "at": now,
        "document": {},
    }
    if not sql.add_new(connection, verdicts, row):
        return
    data = {name: row[name] for name in ("decision", "reason", "sweep_id", "number", "against")}
    add_event(connection, firing.schedule, "firing.judged", now, data, by=None, fire_at=firing.fire_at)
    of_sweep = {"schedule": firing.schedule, "fire_at": firing.fire_at, **data}
    sql.add_sweep_event(connection, Claim(sweep.sweep_id, sweep.epoch), "sweep.judged", now, of_sweep)
