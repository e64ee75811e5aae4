"""Lists that are read page by page: each page goes on behind a place, whatever was added in between.

A place is a tuple of the values that the list is ordered by, which end with a key; None is the beginning.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, Literal, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from sweeps.core.states import SweepState, TrialState
from sweeps.core.trial import Measurement
from sweeps.records import EventRecord, SweepRecord, TrialRecord
from sweeps.store import rows
from sweeps.store.engine import reading
from sweeps.store.find import find_trial, listed_trials_of
from sweeps.store.readable import readable_sweep
from sweeps.store.tables import events, measurements, sweeps, trial_values, trials

Place = tuple[Any, ...]
_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Page(Generic[_Item]):
    """Some items of a list; `after` is the place behind the last, or None at the list's end."""

    items: Sequence[_Item]
    after: Place | None


class Listing:
    """The lists of a store.

    Args:
        engine: Of a store whose schema is up to date.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def sweeps(
        self,
        *,
        limit: int,
        after: Place | None = None,
        states: Sequence[SweepState] = (),
        name: str | None = None,
        by: str | None = None,
    ) -> Page[SweepRecord]:
        """Sweeps, newest first; the place is (created_at, sweep_id).

        Args:
            limit: At most so many.
            after: Behind that place.
            states: In one of them, unless there is none.
            name: Whose name has this in it, in small letters or large.
            by: Created by that one.
        """
        t = sweeps
        query = sa.select(t).order_by(t.c.created_at.desc(), t.c.sweep_id).limit(limit + 1)
        if states:
            query = query.where(t.c.state.in_([state.value for state in states]))
        if name is not None:
            query = query.where(t.c.name.icontains(name, autoescape=True))
        if by is not None:
            created = sa.select(events.c.sweep_id).where(
                events.c.sweep_id == t.c.sweep_id, events.c.kind == "sweep.created", events.c.by == by
            )
            query = query.where(created.exists())
        if after is not None:
            at, sweep_id = after
            later = sa.and_(t.c.created_at == at, t.c.sweep_id > sweep_id)
            query = query.where(sa.or_(t.c.created_at < at, later))
        with reading(self._engine) as connection:
            found = list(connection.execute(query).mappings())
        page = _page(found, limit, lambda row: (row["created_at"], row["sweep_id"]))
        return Page([sweep for row in page.items if (sweep := readable_sweep(row))], page.after)

    def trial(self, sweep_id: str, number: int) -> TrialRecord:
        """One trial.

        Raises:
            WrongState: The sweep has none of that number.
        """
        with reading(self._engine) as connection:
            return find_trial(connection, sweep_id, number)

    def trials(
        self,
        sweep_id: str,
        *,
        limit: int,
        after: Place | None = None,
        states: Sequence[TrialState] = (),
        metric: str | None = None,
        descending: bool = False,
    ) -> Page[TrialRecord]:
        """A sweep's trials by number, or by a metric of their last rung; without a value they come last.

        Their `sampler_attrs` are left out.

        Args:
            sweep_id: The full id.
            limit: At most so many.
            after: Behind that place: (number,), or (value or None, number) with a metric.
            states: In one of them, unless there is none.
            metric: What to sort by.
            descending: The largest first; equal values by ascending number.
        """
        among = tuple(state.value for state in states)
        if metric is None:
            parts = [_by_number(sweep_id, among, after, descending=descending)]
            bound: dict[str, Any] = {}
        else:
            place: Literal["value", "none"] | None = None
            if after is not None:
                place = "none" if after[0] is None else "value"
            parts = list(_by_metric(among, place, descending=descending))
            bound = {"at_sweep": sweep_id, "metric": metric}
            if after is not None:
                bound |= {"last": after[0], "behind": after[1]}
        found: list[sa.RowMapping] = []
        with reading(self._engine) as connection:
            for part in parts:
                missing = limit + 1 - len(found)
                if missing:
                    found += connection.execute(part, bound | {"missing": missing}).mappings().all()
        page = _page(found, limit, _number_place if metric is None else _value_place)
        return Page([rows.trial_record(row) for row in page.items], page.after)

    def has_value(self, sweep_id: str, metric: str) -> bool:
        """Whether a trial of a sweep has a value of a metric."""
        t = trial_values
        there = sa.exists().where(t.c.sweep_id == sweep_id, t.c.name == metric)
        with reading(self._engine) as connection:
            return bool(connection.execute(sa.select(there)).scalar())

    def measurements(
        self, sweep_id: str, *, limit: int, after: Place | None = None, number: int | None = None
    ) -> Page[Measurement]:
        """A sweep's measurements by trial and rung; the place is (number, iteration)."""
        t = measurements
        query = sa.select(t).where(t.c.sweep_id == sweep_id).order_by(t.c.number, t.c.iteration)
        if number is not None:
            query = query.where(t.c.number == number)
        if after is not None:
            same = sa.and_(t.c.number == after[0], t.c.iteration > after[1])
            query = query.where(sa.or_(t.c.number > after[0], same))
        with reading(self._engine) as connection:
            found = [rows.measurement(row) for row in connection.execute(query.limit(limit + 1)).mappings()]
        return _page(found, limit, lambda each: (each.number, each.iteration))

    def events(
        self,
        *,
        limit: int,
        after: int = 0,
        until: int | None = None,
        sweep_id: str | None = None,
        by: str | None = None,
        of_service: bool = True,
    ) -> Page[EventRecord]:
        """What happened behind the event `after`, in order; the place is (event_id,).

        Args:
            limit: At most so many.
            after: Behind the event with this id.
            until: Up to the event with this id, as `Gaps.complete` says, or None: all that is there now.
            sweep_id: The full id of a sweep, or None for all.
            by: What that one did.
            of_service: With those of the service itself, as of its tokens.
        """
        t = events
        query = sa.select(t).where(t.c.event_id > after).order_by(t.c.event_id).limit(limit + 1)
        if until is not None:
            query = query.where(t.c.event_id <= until)
        if sweep_id is not None:
            query = query.where(t.c.sweep_id == sweep_id)
        if not of_service:
            query = query.where(t.c.sweep_id.is_not(None))
        if by is not None:
            query = query.where(t.c.by == by)
        with reading(self._engine) as connection:
            found = [rows.event_record(row) for row in connection.execute(query).mappings()]
        return _page(found, limit, lambda event: (event.event_id,))

    def event_times(self, *, after: int, limit: int) -> list[tuple[int, float]]:
        """The ids of the events behind one, in order, and when they happened."""
        t = events
        query = sa.select(t.c.event_id, t.c.at).where(t.c.event_id > after).order_by(t.c.event_id)
        with reading(self._engine) as connection:
            return [(event_id, at) for event_id, at in connection.execute(query.limit(limit))]

    def last_event(self) -> int:
        """The id of the newest event; 0 before the first."""
        with reading(self._engine) as connection:
            return connection.execute(sa.select(sa.func.max(events.c.event_id))).scalar() or 0

    def trial_states(self, sweep_ids: Sequence[str]) -> Mapping[str, Mapping[TrialState, int]]:
        """How many of the search's own trials of each sweep are in each state; what is 0 is absent."""
        t = trials
        query = (
            sa.select(t.c.sweep_id, t.c.state, sa.func.count())
            .where(t.c.sweep_id.in_(sweep_ids), t.c.replicate_of.is_(None))
            .group_by(t.c.sweep_id, t.c.state)
        )
        counts: dict[str, dict[TrialState, int]] = {sweep_id: {} for sweep_id in sweep_ids}
        with reading(self._engine) as connection:
            for sweep_id, state, count in connection.execute(query):
                counts[sweep_id][TrialState(state)] = count
        return counts


def _number_place(row: sa.RowMapping) -> Place:
    return (row["number"],)


def _value_place(row: sa.RowMapping) -> Place:
    return row["_value"], row["number"]


_MISSING = sa.bindparam("missing", type_=sa.Integer)


def _by_number(
    sweep_id: str, states: tuple[str, ...], after: Place | None, *, descending: bool
) -> sa.Select[Any]:
    query, number = listed_trials_of(sweep_id).limit(_MISSING), trials.c.number
    if states:
        query = query.where(trials.c.state.in_(states))
    if after is not None:
        query = query.where(number < after[0] if descending else number > after[0])
    return query.order_by(None).order_by(number.desc()) if descending else query


@lru_cache(maxsize=64)
def _by_metric(
    states: tuple[str, ...], after: Literal["value", "none"] | None, *, descending: bool
) -> Sequence[sa.Select[Any]]:
    """Those that have a value, in the order of an index, and behind them those that have none.

    They are two queries, as the order of both at once is in no index. What differs between calls is bound:
    to build them takes as long as to run them.
    """
    t, number = trial_values, trials.c.number
    at_sweep = sa.bindparam("at_sweep", type_=sa.Text)
    metric = sa.bindparam("metric", type_=sa.Text)
    last, behind = sa.bindparam("last", type_=sa.Double), sa.bindparam("behind", type_=sa.Integer)
    query = listed_trials_of(at_sweep).limit(_MISSING)
    if states:
        query = query.where(trials.c.state.in_(states))
    same = sa.and_(t.c.sweep_id == trials.c.sweep_id, t.c.number == number, t.c.name == metric)
    order = t.c.value.desc() if descending else t.c.value.asc()
    with_value = query.add_columns(t.c.value.label("_value")).join(t, same)
    # The sweep is said again of the values, which the index begins with.
    with_value = with_value.where(t.c.sweep_id == at_sweep).order_by(None).order_by(order, t.c.number)
    without = query.add_columns(sa.null().label("_value")).where(~sa.exists().where(same))
    if after is None:
        return with_value, without
    if after == "none":
        return (without.where(number > behind),)
    further = t.c.value < last if descending else t.c.value > last
    here = sa.and_(t.c.value == last, t.c.number > behind)
    from_here = t.c.value <= last if descending else t.c.value >= last  # where the index is entered
    return with_value.where(from_here, sa.or_(further, here)), without


def _page(found: list[_Item], limit: int, place: Callable[[_Item], Place]) -> Page[_Item]:
    items = found[:limit]
    return Page(items, place(items[-1]) if len(found) > limit else None)
