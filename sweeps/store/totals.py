"""Sums over the store for those who watch the service."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from sweeps.core.finals import Finals
from sweeps.core.notices import DeliveryState
from sweeps.core.states import SweepState, TrialState
from sweeps.core.supervision import LaunchState
from sweeps.liveness import STALE_AFTER_S
from sweeps.records import SweepRecord
from sweeps.store import rows
from sweeps.store.engine import reading
from sweeps.store.find import held_gpu_s, listed_trials_of
from sweeps.store.mirror_lag import lag_of
from sweeps.store.outbox import count_deliveries
from sweeps.store.readable import readable_sweep
from sweeps.store.tables import launches, submissions, sweeps, trial_values, trials

SHOWN_S = 24 * 3600.0
"""Seconds for which a sweep that has ended still has numbers of its own."""

MOST_SHOWN = 200
"""Sweeps with numbers of their own; the newest."""


@dataclass(frozen=True, slots=True)
class SweepTotals:
    """One sweep's numbers.

    Attributes:
        sweep: The sweep.
        gpu_s: Seconds of GPUs that its attempts held.
        best: Its leader's value of its first objective, as the leaderboard has it, or None.
        lag_s: For how many seconds its display has lacked something of it; 0 where it has all there is.
    """

    sweep: SweepRecord
    gpu_s: float
    best: float | None
    lag_s: float


@dataclass(frozen=True, slots=True)
class Totals:
    """The store's numbers.

    Attributes:
        sweeps: Their number by state.
        trials: Theirs.
        waiting: Submitted sweeps that wait for a driver: for their turn, for the next try after a driver died
            or could not be started, or for a service of their launcher. What a person paused does not wait.
        shown: The sweeps that are of interest now.
        deliveries: Messages by state.
    """

    sweeps: Mapping[SweepState, int]
    trials: Mapping[TrialState, int]
    waiting: int
    shown: Sequence[SweepTotals]
    deliveries: Mapping[DeliveryState, int]


def totals(engine: Engine, now: float) -> Totals:
    """The numbers of a store at a moment, in seconds since the Unix epoch."""
    with reading(engine) as connection:
        by_state = sa.select(sweeps.c.state, sa.func.count()).group_by(sweeps.c.state)
        of_trials = sa.select(trials.c.state, sa.func.count()).group_by(trials.c.state)
        recent = (
            sa.select(sweeps)
            .where(sa.or_(sweeps.c.ended_at.is_(None), sweeps.c.ended_at > now - SHOWN_S))
            .order_by(sweeps.c.created_at.desc())
            .limit(MOST_SHOWN)
        )
        found = (readable_sweep(row) for row in connection.execute(recent).mappings())
        shown = [sweep for sweep in found if sweep is not None]
        return Totals(
            {SweepState(state): count for state, count in connection.execute(by_state)},
            {TrialState(state): count for state, count in connection.execute(of_trials)},
            _count_waiting(connection, now),
            [_of(connection, sweep, now) for sweep in shown],
            count_deliveries(connection),
        )


def _count_waiting(connection: Connection, now: float) -> int:
    idle = sweeps.c.state.in_((SweepState.PENDING.value, SweepState.PAUSED.value))
    begun = sweeps.c.state.in_((SweepState.RUNNING.value, SweepState.STOPPING.value))
    silent = sa.or_(sweeps.c.beat_at.is_(None), sweeps.c.beat_at <= now - STALE_AFTER_S)
    query = (
        sa.select(sa.func.count())
        .select_from(
            launches.join(submissions, submissions.c.sweep_id == launches.c.sweep_id).join(
                sweeps, sweeps.c.sweep_id == launches.c.sweep_id
            )
        )
        .where(launches.c.state == LaunchState.WAITING.value)
        .where(submissions.c.held_by.is_(None), sa.or_(idle, sa.and_(begun, silent)))
    )
    return connection.execute(query).scalar_one()


def _of(connection: Connection, sweep: SweepRecord, now: float) -> SweepTotals:
    return SweepTotals(
        sweep,
        held_gpu_s(connection, sweep.sweep_id, unnoted=0.0),
        _best(connection, sweep),
        lag_of(connection, sweep, now),
    )


def _best(connection: Connection, sweep: SweepRecord) -> float | None:
    """The leader's value of the first objective: `Finals.leader`, from an index where that is as good."""
    spec, settled = sweep.spec, sweep.state.terminal
    objective, t = spec.objectives[0], trial_values
    if len(spec.objectives) > 1 or spec.constraints or (settled and spec.replicates):
        found = connection.execute(listed_trials_of(sweep.sweep_id)).mappings()
        ahead = Finals(spec).leader([rows.trial_record(row) for row in found], settled=settled)
        return None if ahead is None else ahead.metrics[objective.metric]
    order = t.c.value.desc() if objective.goal == "maximize" else t.c.value.asc()
    first = (
        sa.select(t.c.value)
        .join(trials, sa.and_(trials.c.sweep_id == t.c.sweep_id, trials.c.number == t.c.number))
        .where(t.c.sweep_id == sweep.sweep_id, t.c.name == objective.metric)
        .where(trials.c.replicate_of.is_(None))
        .order_by(order)
        .limit(1)
    )
    given_up = (TrialState.PRUNED.value, TrialState.FAILED.value)
    lasting = trials.c.state.not_in((TrialState.INFEASIBLE.value, *given_up))
    value: float | None = connection.execute(first.where(lasting)).scalar()
    if value is None:
        value = connection.execute(first.where(trials.c.state.in_(given_up))).scalar()
    return value
