"""A sweep with what is told of it at a glance, read over one connection: clients look at it most."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from sweeps.core.requests import Request
from sweeps.core.states import TrialState
from sweeps.records import SweepRecord
from sweeps.store.engine import reading
from sweeps.store.find import find_sweep, held_gpu_s, open_requests
from sweeps.store.tables import beginnings, events, submissions, trials
from sweeps.warm.plan import WarmSummary, summary_from_document


@dataclass(frozen=True, slots=True)
class Overview:
    """A sweep, and everything beside its row that does not grow with its trials.

    Attributes:
        sweep: Its row.
        states: How many of the search's own trials are in each state; what is 0 is absent.
        gpu_s: Seconds of GPUs that its attempts held; those that note no share count nothing.
        note: What a person should know of a submitted sweep that has not ended, or None.
        created_by: Who created it, or None if that is not known.
        warm: What it took over from earlier sweeps; None if it began cold.
        requests: What was asked of it and is not carried out yet, in order.
    """

    sweep: SweepRecord
    states: Mapping[TrialState, int]
    gpu_s: float
    note: str | None
    created_by: str | None
    warm: WarmSummary | None
    requests: Sequence[Request]


def overview(engine: Engine, sweep_id: str) -> Overview:
    """The overview of the sweep of that id, or of the only one whose id begins so.

    Raises:
        UnknownSweep: There is none, or more than one.
        StoreUnavailable: The database does not answer.
    """
    with reading(engine) as connection:
        sweep = find_sweep(connection, sweep_id)
        of = {"of": sweep.sweep_id}
        beside = connection.execute(_BESIDE, of).one()
        return Overview(
            sweep=sweep,
            states={TrialState(state): count for state, count in connection.execute(_STATES, of)},
            gpu_s=held_gpu_s(connection, sweep.sweep_id, unnoted=0.0),
            note=None if sweep.state.terminal else beside.note,
            created_by=beside.created_by,
            warm=None if beside.warm_summary is None else summary_from_document(beside.warm_summary),
            requests=open_requests(connection, sweep.sweep_id),
        )


# They are built once: to build one takes as long as to run it.
_OF = sa.bindparam("of", type_=sa.Text)
_STATES = (
    sa.select(trials.c.state, sa.func.count())
    .where(trials.c.sweep_id == _OF, trials.c.replicate_of.is_(None))
    .group_by(trials.c.state)
)
_BESIDE = sa.select(
    sa.select(submissions.c.note).where(submissions.c.sweep_id == _OF).scalar_subquery().label("note"),
    sa.select(events.c.by)
    .where(events.c.sweep_id == _OF)
    .order_by(events.c.event_id)
    .limit(1)
    .scalar_subquery()
    .label("created_by"),
    sa.select(beginnings.c.warm_summary)
    .where(beginnings.c.sweep_id == _OF)
    .scalar_subquery()
    .label("warm_summary"),
)
