"""A sweep changes hands: claims, and what becomes of the trials that were left open."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from sqlalchemy.engine import Connection

from sweeps.core.errors import WrongState
from sweeps.core.states import AttemptState, SweepState, TrialState
from sweeps.records import Claim, Driver, SweepRecord, TrialRecord
from sweeps.store import rows, sql
from sweeps.store.find import trials_of
from sweeps.store.tables import trials


def check_claimable(
    sweep: SweepRecord, now: float, stale_after_s: float, is_dead: Callable[[Driver], bool]
) -> None:
    """Refuses a sweep that has ended, or whose driver was seen less than `stale_after_s` ago and is not dead.

    Raises:
        WrongState: It is one of these.
    """
    if sweep.state.terminal:
        raise WrongState(
            f"sweep {sweep.sweep_id} is {sweep.state.value}: nothing is left to run", "start another one"
        )
    driver = living_driver(sweep, now, stale_after_s, is_dead)
    if driver is not None:
        raise WrongState(
            f"sweep {sweep.sweep_id} is being run by another driver "
            f"(pid {driver.pid} on {driver.host}, seen {max(0.0, now - driver.beat_at):.0f} s ago)",
            f"stop that one, or try again once it has been silent for {stale_after_s:.0f} s",
        )


class Driven(Protocol):
    """What tells whether a sweep has a driver."""

    @property
    def state(self) -> SweepState:
        """Where it is in its life."""

    @property
    def driver(self) -> Driver | None:
        """Who holds its epoch, or None before the first."""


def living_driver(
    sweep: Driven, now: float, stale_after_s: float, is_dead: Callable[[Driver], bool]
) -> Driver | None:
    """Who drives a sweep: it was seen less than `stale_after_s` ago and is not dead. None if nobody does."""
    driver = sweep.driver
    if driver is None or sweep.state not in (SweepState.RUNNING, SweepState.STOPPING) or is_dead(driver):
        return None
    # a beat from the far future is of a clock that was set back
    return driver if abs(now - driver.beat_at) < stale_after_s else None


def take(connection: Connection, sweep: SweepRecord, values: Mapping[str, Any]) -> bool:
    """The compare-and-set of a claim; False if another driver was faster.

    A RUNNING or STOPPING sweep stays what it is, the latter with the reason for which it stops.
    """
    idle = sweep.state in (SweepState.PENDING, SweepState.PAUSED)
    state = SweepState.RUNNING if idle else sweep.state
    held = Claim(sweep.sweep_id, sweep.epoch)
    reason = sweep.reason if state is SweepState.STOPPING else None
    return sql.move_sweep(connection, held, sweep.state, state, {**values, "reason": reason})


def release_running(
    connection: Connection,
    claim: Claim,
    reason: str,
    now: float,
    *,
    held_until: float,
    attempts_are: AttemptState = AttemptState.LOST,
) -> list[int]:
    """RUNNING trials are QUEUED again and their attempts LOST, or `attempts_are`; their numbers.

    What their workers held until then, and did not report any more, is spent all the same.
    """
    running = [trial for trial in _open_trials(connection, claim) if trial.state is TrialState.RUNNING]
    for trial in running:
        key = sql.Key(claim.sweep_id, trial.number, trial.attempt)
        lost_s = sql.unreported_s(connection, key, held_until)
        sql.move_trial(
            connection,
            key,
            trial.state,
            TrialState.QUEUED,
            {"reason": reason, "more_s": lost_s, "failed": 0},
            statement=sql.REPORT_TRIAL_BACK,
        )
        ended = {"reason": reason, "ended_at": now}
        sql.move_attempt(connection, key, attempts_are, ended, worker_s=lost_s)
        sql.spend(connection, claim, lost_s)
        sql.add_trial_event(connection, claim, key, "trial.queued", now, data={"reason": reason})
    return [trial.number for trial in running]


def end_open(connection: Connection, claim: Claim, state: SweepState, reason: str, now: float) -> None:
    """What is open when a sweep comes to an end is CANCELLED.

    What still ran when a limit ended it may be gone on with, should the sweep be extended: its attempt is
    PAUSED, at the last checkpoint.
    """
    if state is not SweepState.CANCELLED:
        paused = AttemptState.PAUSED
        release_running(connection, claim, reason, now, held_until=now, attempts_are=paused)
    cancel_open(connection, claim, reason, now)


def cancel_open(connection: Connection, claim: Claim, reason: str, now: float) -> None:
    """Trials that are QUEUED or RUNNING are CANCELLED."""
    for trial in _open_trials(connection, claim):
        cancel(connection, claim, trial, reason, now)


def cancel(connection: Connection, claim: Claim, trial: TrialRecord, reason: str, now: float) -> None:
    """A QUEUED or RUNNING trial is CANCELLED, and its attempt ended."""
    key = sql.Key(claim.sweep_id, trial.number, trial.attempt)
    ended = {"reason": reason, "ended_at": now}
    lost_s = sql.unreported_s(connection, key, now) if trial.state is TrialState.RUNNING else 0.0
    spent = {**ended, "more_s": lost_s, "failed": 0}
    sql.move_trial(connection, key, trial.state, TrialState.CANCELLED, spent, statement=sql.REPORT_TRIAL)
    if trial.state is TrialState.RUNNING:
        sql.move_attempt(connection, key, AttemptState.ENDED, ended, worker_s=lost_s)
        sql.spend(connection, claim, lost_s)
    data = {"from": trial.state.value, "reason": reason}
    sql.add_trial_event(connection, claim, key, "trial.cancelled", now, data=data)


def _open_trials(connection: Connection, claim: Claim) -> list[TrialRecord]:
    states = [TrialState.QUEUED.value, TrialState.RUNNING.value]
    query = trials_of(claim.sweep_id).where(trials.c.state.in_(states))
    return [rows.trial_record(row) for row in connection.execute(query).mappings()]
