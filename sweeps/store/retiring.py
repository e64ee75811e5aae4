"""A champion is retired: its schedule has none from then on, and the next night's best becomes one.

For a champion that nothing can restore, against which no night can be judged. Its row, its files and the
verdicts stay.
"""

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from sweeps.core.errors import UnknownChampion, WrongState
from sweeps.store.champions import Champion, champion_of, check_schedule, newest
from sweeps.store.engine import writing
from sweeps.store.schedule_events import add_event, key_digest, told_under_key
from sweeps.store.tables_night import champions

_RETIRED = "champion.retired"


def retire_champion(
    engine: Engine,
    schedule: str,
    *,
    version: int | None = None,
    reason: str | None = None,
    by: str,
    now: float,
    key: str | None = None,
) -> Champion:
    """Retires the champion of a schedule, one that was removed as well. Retired already, it stays so.

    A night that is being judged against it is judged anew: verdicts name who reigned, and are written in
    transactions that hold the schedule's row, as this one does.

    Args:
        engine: Of a store whose schema is up to date.
        schedule: Its name.
        version: Only this one: who saw that it is damaged does not mean one that came since; None: the last.
        reason: Why, in a line.
        by: Who does it.
        now: Seconds since the Unix epoch.
        key: Names this request: made again, it retires no later champion.

    Returns:
        The champion that is retired.

    Raises:
        UnknownSchedule: There never was such a schedule.
        UnknownChampion: It has had no champion of that version.
        WrongState: It has had no champion yet, or another version reigns.
    """
    with writing(engine) as connection:
        check_schedule(connection, schedule)
        last = newest(connection, schedule, locked=True)
        if last is None:
            hint = "the next night that is judged makes its best one"
            raise WrongState(f"schedule {schedule} has no champion yet", hint)
        before = told_under_key(connection, schedule, _RETIRED, key)
        meant = _of_version(connection, last, version if before is None else int(before["version"]))
        if before is not None or meant.retired is not None:
            return meant
        if meant.version != last.version:
            raise WrongState(
                f"champion v{meant.version} of {schedule} does not reign: v{last.version} came after it",
                "only the last champion is retired",
            )
        values = {"retired_at": now, "retired_by": by, "retired_reason": reason}
        mine = (champions.c.schedule == schedule, champions.c.version == meant.version)
        connection.execute(sa.update(champions).where(*mine).values(**values))
        data = {"version": meant.version, "sweep_id": meant.sweep_id, "number": meant.number}
        data |= {"reason": reason} if reason else {}
        data |= {} if key is None else {"key": key_digest(key)}
        add_event(connection, schedule, _RETIRED, now, data, by=by)
        return _of_version(connection, last, meant.version)


def _of_version(connection: Connection, last: Champion, version: int | None) -> Champion:
    wanted = last.version if version is None else version
    found = champion_of(connection, last.schedule, wanted)
    if found is None:
        raise UnknownChampion(last.schedule, wanted, last.version)
    return found
