"""What people are to be told, and where: written once, sent by whoever claims it first, tried again.

Any number of services share a store's outbox. A delivery is claimed for some time by a compare-and-set on
its number of attempts, and only whoever made the last attempt writes down how it went. A service that dies
between sending and writing leaves its claim, which runs out: the message is then sent once more, under the
same id.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, RowMapping

from sweeps.core.notices import DeliveryState, Notice, NoticeKind
from sweeps.store import sql
from sweeps.store.engine import reading, writing
from sweeps.store.tables_night import deliveries, notifications, places

GIVE_UP_S, GIVE_UP_TRIES = 24 * 3600.0, 24
"""Seconds for which a delivery is tried at least, and how often: while all services are away nobody tries."""

FIRST_RETRY_S, LAST_RETRY_S = 30.0, 3600.0
"""Seconds to the second attempt, which double with each, and their limit."""

_MOST_MADE = 500  # deliveries that one transaction makes


@dataclass(frozen=True, slots=True)
class Delivery:
    """A notification on its way to a place. Times are seconds since the Unix epoch.

    Attributes:
        notification_id: Of the notification, by which a reader knows one that came twice.
        place: Scheme and digest of a URL.
        state: How it stands.
        kind: What is told,
        title: in a line,
        body: and in some.
        at: When that happened.
        attempts: So far, the one that is being made included.
        next_at: Not to be sent before.
        by: The service that made the last attempt, or None.
        ended_at: When it was SENT or GIVEN_UP, or None.
        error: Of the last attempt, or None.
    """

    notification_id: int
    place: str
    state: DeliveryState
    kind: NoticeKind
    title: str
    body: str
    at: float
    attempts: int
    next_at: float
    by: str | None
    ended_at: float | None
    error: str | None


class Outbox:
    """The outbox of a store.

    Args:
        engine: Of a store whose schema is up to date.
        by: Names this service in what it writes.
    """

    def __init__(self, engine: Engine, by: str) -> None:
        self._engine, self._by = engine, by

    def know(
        self, kinds_of: Mapping[str, Iterable[NoticeKind]], now: float, *, back_s: float
    ) -> float | None:
        """Takes in the places of this service's settings.

        A place that is new, or hears of other kinds than before, is not told what happened earlier than
        `back_s` seconds ago.

        Returns:
            Since when the place that goes back furthest is told, or None without places.
        """
        with writing(self._engine) as connection:
            for place, kinds in sorted(kinds_of.items()):
                row = {"kinds": sorted(kind.value for kind in kinds), "since": now - back_s}
                row |= {"changed_at": now, "changed_by": self._by}
                if not sql.add_new(connection, places, {"place": place, **row}):
                    other = sa.and_(places.c.place == place, places.c.kinds != row["kinds"])
                    connection.execute(sa.update(places).where(other).values(**row))
            mine = sa.select(sa.func.min(places.c.since)).where(places.c.place.in_(list(kinds_of)))
            since: float | None = connection.execute(mine).scalar()
        return since

    def add(self, notices: Sequence[Notice], now: float) -> int:
        """Writes down what happened, each subject once; returns how many were new."""
        if not notices:
            return 0
        with writing(self._engine) as connection:
            in_order = sorted(notices, key=lambda notice: notice.subject)  # so that no two services deadlock
            rows = [_row(notice) | {"found_at": now, "found_by": self._by} for notice in in_order]
            return sum(sql.add_new(connection, notifications, row) for row in rows)

    def unknown(self, subjects: Iterable[str]) -> set[str]:
        """Those of the subjects that nobody was told of yet."""
        left = set(subjects)
        with reading(self._engine) as connection:
            for some in _slices(sorted(left)):
                known = sa.select(notifications.c.subject).where(notifications.c.subject.in_(some))
                left -= set(connection.execute(known).scalars())
        return left

    def make_deliveries(self, place: str, now: float, *, back_s: float) -> int:
        """A delivery for each notification that a place is to have and has not, of the last `back_s` seconds.

        Returns:
            How many were made.
        """
        there = sa.exists().where(
            deliveries.c.notification_id == notifications.c.notification_id, deliveries.c.place == place
        )
        with reading(self._engine) as connection:
            known = connection.execute(sa.select(places).where(places.c.place == place)).mappings().first()
            if known is None:
                return 0
            query = (
                sa.select(notifications.c.notification_id)
                .where(notifications.c.at >= max(known["since"], now - back_s))
                .where(notifications.c.kind.in_(known["kinds"]), ~there)
                .order_by(notifications.c.notification_id)
                .limit(_MOST_MADE)
            )
            wanted = list(connection.execute(query).scalars())
        if not wanted:
            return 0
        with writing(self._engine) as connection:
            fresh = {"place": place, "state": DeliveryState.WAITING.value, "made_at": now}
            fresh |= {"attempts": 0, "next_at": now}
            return sum(
                sql.add_new(connection, deliveries, {"notification_id": each, **fresh}) for each in wanted
            )

    def claim(self, place: str, now: float, *, hold_s: float) -> Delivery | None:
        """The next delivery to a place that is due, held by this service alone; None if there is none.

        Args:
            place: Which one.
            now: Seconds since the Unix epoch.
            hold_s: Seconds after which another attempt may be made if nobody said how this one went.
        """
        free = sa.or_(deliveries.c.held_until.is_(None), deliveries.c.held_until <= now)
        due = (
            _all()
            .where(deliveries.c.place == place, deliveries.c.state == DeliveryState.WAITING.value)
            .where(deliveries.c.next_at <= now, free)
            .order_by(deliveries.c.next_at, deliveries.c.notification_id)
            .limit(1)
        )
        with reading(self._engine) as connection:  # most looks find nothing, and block nobody
            if connection.execute(due).first() is None:
                return None
        with writing(self._engine) as connection:
            row = connection.execute(due).mappings().first()
            if row is None:
                return None
            attempts = row["attempts"] + 1
            values = {"attempts": attempts, "held_until": now + hold_s, "by": self._by}
            taken = connection.execute(_at(row["notification_id"], place, row["attempts"]).values(**values))
            if taken.rowcount != 1:  # another service was faster
                return None
            return _delivery({**row, "attempts": attempts, "by": self._by})

    def sent(self, delivery: Delivery, now: float) -> bool:
        """WAITING to SENT; False if another attempt was begun since."""
        values = {"state": DeliveryState.SENT.value, "ended_at": now, "held_until": None, "error": None}
        with writing(self._engine) as connection:
            return _write(connection, delivery, values)

    def failed(self, delivery: Delivery, error: str, now: float) -> bool:
        """To be tried again later, or GIVEN_UP after a day and `GIVE_UP_TRIES` attempts.

        Returns:
            False if another attempt was begun since.
        """
        wait_s = min(LAST_RETRY_S, FIRST_RETRY_S * 2.0 ** min(delivery.attempts - 1, 20))
        of = sa.and_(
            deliveries.c.notification_id == delivery.notification_id, deliveries.c.place == delivery.place
        )
        with writing(self._engine) as connection:
            made_at = connection.execute(sa.select(deliveries.c.made_at).where(of)).scalar_one()
            values = {"held_until": None, "error": error, "next_at": now + wait_s}
            if now + wait_s > made_at + GIVE_UP_S and delivery.attempts >= GIVE_UP_TRIES:
                values |= {"state": DeliveryState.GIVEN_UP.value, "ended_at": now}
            return _write(connection, delivery, values)


def last_deliveries(
    engine: Engine, limit: int, *, state: DeliveryState | None = None, after: tuple[int, str] | None = None
) -> list[Delivery]:
    """The deliveries of the newest notifications, newest first.

    Args:
        engine: Of the store.
        limit: How many at most.
        state: Those in it alone.
        after: Notification and place of the one that was listed last.
    """
    d = deliveries.c
    query = _all().order_by(d.notification_id.desc(), d.place).limit(limit)
    if state is not None:
        query = query.where(d.state == state.value)
    if after is not None:
        number, place = after
        same = sa.and_(d.notification_id == number, d.place > place)
        query = query.where(sa.or_(d.notification_id < number, same))
    with reading(engine) as connection:
        return [_delivery(row) for row in connection.execute(query).mappings()]


def count_deliveries(connection: Connection) -> dict[DeliveryState, int]:
    """Deliveries by state; those that have none are left out."""
    query = sa.select(deliveries.c.state, sa.func.count()).group_by(deliveries.c.state)
    return {DeliveryState(state): count for state, count in connection.execute(query)}


def _all() -> sa.Select[tuple[object, ...]]:
    n, d = notifications.c, deliveries.c
    return sa.select(
        d.notification_id, d.place, d.state, n.kind, n.title, n.body, n.at, d.attempts, d.next_at, d.by,
        d.ended_at, d.error,
    ).join(notifications, n.notification_id == d.notification_id)  # fmt: skip


def _at(notification_id: int, place: str, attempts: int) -> sa.Update:
    return sa.update(deliveries).where(
        deliveries.c.notification_id == notification_id,
        deliveries.c.place == place,
        deliveries.c.attempts == attempts,
        deliveries.c.state == DeliveryState.WAITING.value,
    )


def _write(connection: Connection, delivery: Delivery, values: Mapping[str, object]) -> bool:
    held = _at(delivery.notification_id, delivery.place, delivery.attempts)
    return connection.execute(held.values(**values)).rowcount == 1


def _row(notice: Notice) -> dict[str, object]:
    return {
        "subject": notice.subject,
        "kind": notice.kind.value,
        "title": notice.title,
        "body": notice.body,
        "at": notice.at,
    }


def _delivery(row: RowMapping | Mapping[str, object]) -> Delivery:
    values = dict(row)
    values |= {"state": DeliveryState(str(row["state"])), "kind": NoticeKind(str(row["kind"]))}
    return Delivery(**values)


def _slices(all_of: Sequence[str], size: int = 500) -> Iterable[Sequence[str]]:
    return (all_of[start : start + size] for start in range(0, len(all_of), size))
