"""What the store answers with: plain, frozen records of its rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from search_spaces.parameters import Value
from sweeps.core.scopes import Scope
from sweeps.core.states import AttemptState, SweepState, TrialState
from sweeps.core.stops import Limit
from sweeps.core.trial import AttemptFacts, Decision, SecondTry

if TYPE_CHECKING:
    from sweeps.core.extension import Extension
    from sweeps.core.spec import Budget, SweepSpec


@dataclass(frozen=True, slots=True)
class Claim:
    """A driver's licence to write to a sweep, good until another driver claims it.

    Attributes:
        sweep_id: The sweep.
        epoch: The driver's epoch, from 1; every write carries it.
    """

    sweep_id: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a driver makes of a report.

    Attributes:
        state: RUNNING goes on; QUEUED is a pause, or a retry if the report tells a failure;
            else the trial's end.
        reason: Why, for people; None while it goes on.
        decision: What the worker is told.
        second_try: Set once a trial ran out of memory beside others; its later attempts have it too.
    """

    state: TrialState
    reason: str | None
    decision: Decision
    second_try: SecondTry | None = None


@dataclass(frozen=True, slots=True)
class Driver:
    """The process that holds a sweep's epoch, and when it last wrote (seconds since the Unix epoch)."""

    host: str
    pid: int
    beat_at: float


@dataclass(frozen=True, slots=True)
class SweepRecord:
    """A sweep. Times are seconds since the Unix epoch.

    Attributes:
        sweep_id: Its name made into a slug, a dash and six random characters.
        name: As the spec has it.
        state: Where it is in its life.
        reason: Why it is in that state, if that needs one.
        epoch: The newest driver's epoch; 0 before the first.
        spec: The validated spec.
        fingerprint: Of the data set.
        created_at: When it was submitted.
        started_at: When its first driver claimed it, or None.
        ended_at: When it became terminal, or None.
        worker_s: Worker seconds of all its trials.
        active_s: Driver seconds over all epochs, up to the last beat; gaps between drivers do not count.
        driver: Who holds the epoch, or None before the first.
        search_ended: Why the search ended before its number of trials, where finalists run again; or None.
        budget: The spec's, with all that was added to it.
        extension: What was added to it, all in one, or None.
        deadline_at: The moment that the budget's deadline stands for, or None without one or before it began.
        stopped_by: The limit of the budget that ended it, or ends it, or None.
    """

    sweep_id: str
    name: str
    state: SweepState
    reason: str | None
    epoch: int
    spec: SweepSpec
    fingerprint: str
    created_at: float
    started_at: float | None
    ended_at: float | None
    worker_s: float
    active_s: float
    driver: Driver | None
    budget: Budget
    extension: Extension | None = None
    deadline_at: float | None = None
    stopped_by: Limit | None = None
    search_ended: str | None = None


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """A trial. Times are seconds since the Unix epoch.

    Attributes:
        number: From 0; a replicate's is `sweeps.core.replicates.replicate_number`.
        state: Where it is in its life.
        reason: Why it is in that state, if that needs one.
        params: Active parameters by knob name.
        seed: 0 to 2**31 - 1.
        attempt: The newest attempt, from 1.
        failures: Attempts that ended in a failure.
        iteration: Iterations done, as far as they still count: a retry starts again at the checkpoint.
        checkpoint: Directory of the newest complete checkpoint, or None.
        checkpoint_iteration: Iterations in it; 0 without one.
        worker_s: Worker seconds of all attempts.
        started_at: When its first attempt began.
        ended_at: When it became terminal, or None.
        sampler_attrs: What the sampler and the pruner must find again after a restart.
        metrics: Of the last measured rung; empty if there is none.
        measured_iteration: That rung; 0 if there is none.
        second_try: Set once it ran out of memory beside others: its further attempts are not beside any.
        replicate_of: The trial that this one runs again with another seed; None for the search's own.
    """

    number: int
    state: TrialState
    reason: str | None
    params: Mapping[str, Value]
    seed: int
    attempt: int
    failures: int
    iteration: int
    checkpoint: str | None
    checkpoint_iteration: int
    worker_s: float
    started_at: float
    ended_at: float | None
    sampler_attrs: Mapping[str, Any]
    metrics: Mapping[str, float]
    measured_iteration: int = 0
    second_try: SecondTry | None = None
    replicate_of: int | None = None


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One execution of a trial. Times are seconds since the Unix epoch.

    Attributes:
        number: The trial's number.
        attempt: From 1.
        state: Where it is in its life.
        epoch: The epoch of the driver that started it.
        started_at: When it was handed out.
        ended_at: When it ended, or None.
        start_iteration: Iterations of the checkpoint that it started from.
        iteration: How far it came.
        worker_s: Worker seconds.
        reason: Why it ended, or None.
        facts: What it ran with, once its first report came.
        gpus: Share of a GPU that it held; None in rows of a time that did not note it.
    """

    number: int
    attempt: int
    state: AttemptState
    epoch: int
    started_at: float
    ended_at: float | None
    start_iteration: int
    iteration: int
    worker_s: float
    reason: str | None
    facts: AttemptFacts | None
    gpus: float | None = None


@dataclass(frozen=True, slots=True)
class CurveRecord:
    """A point of an attempt's training curve."""

    number: int
    attempt: int
    iteration: int
    at: float
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class EventRecord:
    """What happened, in the order of `event_id`; `number` and `attempt` are None for the sweep itself.

    `sweep_id` is None for what happened to the service itself, as to its tokens; its epoch is 0. `by` is who
    did it, a token's name or user@host; None for what the driver did.
    """

    event_id: int
    kind: str
    number: int | None
    attempt: int | None
    epoch: int
    at: float
    data: Mapping[str, Any]
    by: str | None
    sweep_id: str | None


@dataclass(frozen=True, slots=True)
class Token:
    """A token as the store has it. Times are seconds since the Unix epoch.

    Attributes:
        token_id: Its public part, which tells tokens apart.
        name: Whose it is; stands in events as `by`. Unique.
        scope: What it allows.
        created_by: Who made it, a token's name or user@host,
        created_at: and when.
        expires_at: From then on it is refused; None: never.
        revoked_by: Who revoked it, or None,
        revoked_at: and when.
    """

    token_id: str
    name: str
    scope: Scope
    created_by: str
    created_at: float
    expires_at: float | None
    revoked_by: str | None
    revoked_at: float | None

    def usable(self, now: float) -> bool:
        """Whether it is accepted at that moment."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)
