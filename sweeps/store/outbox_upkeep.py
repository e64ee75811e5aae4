"""What becomes of old messages: those that nobody can send are given up, those that are done are deleted.

Any number of services do it, each at its own time: who comes second finds nothing left to do.
"""

from collections.abc import Collection, Iterable

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from sweeps.core.notices import DeliveryState
from sweeps.store.engine import reading, writing
from sweeps.store.tables_night import deliveries, notifications

ORPHAN_S = 7 * 24 * 3600.0
"""Seconds without an attempt after which a delivery is one that nobody makes any more."""

KEEP_S = 90 * 24 * 3600.0
"""Seconds for which a notification is kept."""

MOST_PRUNED = 500
"""Notifications that one transaction deletes."""

_WAITING = deliveries.c.state == DeliveryState.WAITING.value


def give_up_orphans(engine: Engine, mine: Iterable[str], now: float) -> int:
    """WAITING to GIVEN_UP where nobody tried for a week: no service has the place in its settings.

    To be asked by a service that has been up for a day: by then every other one that came back with it has
    made an attempt of each delivery that it can make.

    Args:
        engine: Of the store.
        mine: Places of the service that asks, which it sends to itself.
        now: Seconds since the Unix epoch.

    Returns:
        How many there were.
    """
    old = sa.and_(
        _WAITING,
        deliveries.c.place.not_in(sorted(mine)),
        deliveries.c.next_at <= now - ORPHAN_S,
        sa.or_(deliveries.c.held_until.is_(None), deliveries.c.held_until <= now - ORPHAN_S),
    )
    with reading(engine) as connection:
        if connection.execute(sa.select(deliveries.c.place).where(old).limit(1)).first() is None:
            return 0
    error = sa.func.coalesce(deliveries.c.error, "no service has this place in its settings any more")
    values = {"state": DeliveryState.GIVEN_UP.value, "ended_at": now, "error": error}
    with writing(engine) as connection:
        return connection.execute(sa.update(deliveries).where(old).values(**values)).rowcount


def prune(engine: Engine, now: float, *, keep: Collection[str] = ()) -> int:
    """Deletes notifications of more than 90 days ago with their deliveries, the oldest `MOST_PRUNED` at most.

    One that is waited for stays, however old it is.

    Args:
        engine: Of the store.
        now: Seconds since the Unix epoch.
        keep: Subjects of what still is so: were they deleted, they would be told again.

    Returns:
        How many notifications there were.
    """
    n, d = notifications.c, deliveries.c
    # not by its state, whose index would have SQLite look at all that waits, again for each notification
    waited_for = sa.exists().where(d.notification_id == n.notification_id, d.ended_at.is_(None))
    done = (
        sa.select(n.notification_id)
        .where(n.at < now - KEEP_S, n.subject.not_in(sorted(keep)), ~waited_for)
        .order_by(n.at)  # by its index, so that the work is bounded by the limit
        .limit(MOST_PRUNED)
    )
    with reading(engine) as connection:  # most looks find nothing, and block nobody
        if connection.execute(done).first() is None:
            return 0
    with writing(engine) as connection:
        # what another service is deleting just now is its own
        ids = list(connection.execute(done.with_for_update(skip_locked=True, of=notifications)).scalars())
        connection.execute(sa.delete(deliveries).where(d.notification_id.in_(ids)))
        connection.execute(sa.delete(notifications).where(n.notification_id.in_(ids)))
        return len(ids)
