"""What the API answers with, and takes."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from search_spaces.parameters import Value
from sweeps.core.requests import RequestKind, RequestState
from sweeps.core.scopes import Scope
from sweeps.core.states import SweepState, TrialState
from sweeps.store.control import Answer

_Time = Field(description="Seconds since the Unix epoch.")
_MaybeTime = Field(None, description="Seconds since the Unix epoch.")


def _example(**fields: Any) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [fields]})


class Counts(BaseModel):
    """How many of the search's own trials are in each state."""

    total: int
    ended: int
    by_state: dict[TrialState, int]


class Best(BaseModel):
    """Who leads."""

    number: int
    metrics: dict[str, float] = Field(description="Of its last rung, or means over `runs` runs.")
    runs: int


class ObjectiveOut(BaseModel):
    """What is to become best."""

    metric: str
    goal: Literal["maximize", "minimize"]


class SweepRow(BaseModel):
    """A sweep in a list."""

    model_config = _example(
        sweep_id="parts-nightly-a2b3c4",
        name="parts-nightly",
        state="RUNNING",
        created_at=1795000000.0,
        trials={"total": 7, "ended": 4, "by_state": {"COMPLETED": 4, "RUNNING": 3}},
        budget_trials=20,
        objectives=[{"metric": "segm/AP", "goal": "maximize"}],
    )

    sweep_id: str
    name: str
    state: SweepState
    reason: str | None = Field(None, description="Why it is in that state, if that needs one.")
    note: str | None = Field(None, description="A deadline that it will miss, or why it waits.")
    created_at: float = _Time
    started_at: float | None = _MaybeTime
    ended_at: float | None = _MaybeTime
    trials: Counts
    budget_trials: int = Field(description="Trials that it may have in all.")
    best: Best | None = Field(None, description="Only where it was asked for.")
    objectives: list[ObjectiveOut]


class DriverOut(BaseModel):
    """The process that drives a sweep, or was the last to."""

    host: str
    pid: int
    beat_at: float = _Time


class RequestOut(BaseModel):
    """What somebody asked of a sweep."""

    request_id: int
    kind: RequestKind
    state: RequestState
    reason: str
    by: str
    at: float = _Time
    answered_at: float | None = _MaybeTime
    extension: dict[str, Any] | None = None


class SweepOut(SweepRow):
    """A sweep. The header `ETag` changes with its state, epoch and budget, not with every measurement."""

    epoch: int = Field(description="Drivers that it has had.")
    spec: dict[str, Any]
    fingerprint: str | None = Field(description="Of its data set; null until a driver has read it.")
    budget: dict[str, Any] = Field(description="The spec's, with all that was added.")
    extension: dict[str, Any] | None = None
    deadline_at: float | None = _MaybeTime
    stopped_by: str | None = Field(None, description="The limit of the budget that ended it, or ends it.")
    worker_s: float = Field(description="Seconds of all its workers.")
    gpu_s: float = Field(description="Seconds of GPUs that its attempts held.")
    active_s: float = Field(description="Seconds in which it was driven.")
    driver: DriverOut | None = None
    requests: list[RequestOut] = Field(description="What was asked and is not carried out yet.")
    created_by: str | None = Field(None, description="Whose token, or user@host.")
    warm_start: str | None = Field(None, description="What it took over from earlier sweeps.")


class SweepsPage(BaseModel):
    """Some sweeps, newest first."""

    sweeps: list[SweepRow]
    next: str | None = Field(None, description="The `cursor` of the next page; null at the end.")


class SubmittedOut(BaseModel):
    """A sweep that was taken in."""

    sweep: SweepOut
    notes: list[str] = Field(description="What a person should know, but need not mend.")


class ReplyOut(BaseModel):
    """What became of a request: `done`, `asked` (its driver will see to it), or `already` so."""

    answer: Answer
    sweep: SweepOut
    request: RequestOut | None = None
    goes_on: bool | None = Field(
        None, description="Of an extension: whether the sweep goes on without anybody resuming it."
    )


class TrialOut(BaseModel):
    """A trial."""

    model_config = _example(
        number=3,
        state="COMPLETED",
        params={"mask_head.conv_dim": 128},
        seed=7,
        attempt=1,
        failures=0,
        iteration=300,
        measured_iteration=300,
        metrics={"segm/AP": 31.4},
        worker_s=120.5,
        started_at=1795000000.0,
        ended_at=1795000120.0,
    )

    number: int
    state: TrialState
    reason: str | None = None
    params: dict[str, Value]
    seed: int
    attempt: int = Field(description="The newest, from 1.")
    failures: int
    iteration: int
    measured_iteration: int = Field(description="The rung that `metrics` are of; 0 without any.")
    metrics: dict[str, float]
    worker_s: float
    started_at: float = _Time
    ended_at: float | None = _MaybeTime
    checkpoint: str | None = Field(None, description="The newest, as the store has it; it may be deleted.")
    replicate_of: int | None = Field(None, description="The trial that it runs again with another seed.")


class TrialsPage(BaseModel):
    """Some trials."""

    trials: list[TrialOut]
    next: str | None = Field(None, description="The `cursor` of the next page; null at the end.")


class StandingOut(BaseModel):
    """A trial as it is ranked."""

    number: int
    metrics: dict[str, float] = Field(description="Its own, or means over `runs` runs.")
    runs: int
    trial: TrialOut


class LeaderboardOut(BaseModel):
    """The measured trials of the search, best first."""

    objectives: list[ObjectiveOut]
    standings: list[StandingOut]
    front: list[int] = Field(description="The numbers of the Pareto set.")


class ParetoOut(BaseModel):
    """The trials that no other beats in every objective."""

    objectives: list[ObjectiveOut]
    standings: list[StandingOut]


class MeasurementOut(BaseModel):
    """What a trial measured at a rung."""

    number: int
    attempt: int
    iteration: int
    at: float = _Time
    metrics: dict[str, float]


class MeasurementsPage(BaseModel):
    """Some measurements, by trial and rung."""

    measurements: list[MeasurementOut]
    next: str | None = Field(None, description="The `cursor` of the next page; null at the end.")


class EventOut(BaseModel):
    """What happened."""

    model_config = _example(
        event_id=41,
        sweep_id="parts-nightly-a2b3c4",
        kind="sweep.cancel_asked",
        epoch=1,
        at=1795000000.0,
        by="ann",
        data={"reason": "too slow"},
    )

    event_id: int
    sweep_id: str | None = Field(description="Null: of the service itself, as its tokens; for admins.")
    kind: str
    number: int | None = Field(None, description="The trial's; null: of the sweep itself.")
    attempt: int | None = None
    epoch: int
    at: float = _Time
    by: str | None = Field(None, description="Whose token, or user@host; null: its driver.")
    data: dict[str, Any]


class EventsPage(BaseModel):
    """Some events, oldest first."""

    events: list[EventOut]
    next: int | None = Field(None, description="`after` of the next page; null at the end.")


class KnobOut(BaseModel):
    """What a search space can name."""

    name: str
    cfg_key: str | None
    kind: str
    unit: str | None
    legal: str
    default: Any
    needs: str | None
    doc: str


class KnobsOut(BaseModel):
    """All knobs."""

    knobs: list[KnobOut]


class MetricOut(BaseModel):
    """What objectives and constraints can name."""

    name: str
    unit: str
    goal: Literal["maximize", "minimize"] | None
    doc: str
    source: str
    judges: bool


class MetricsOut(BaseModel):
    """All metrics."""

    metrics: list[MetricOut]


class DatasetOut(BaseModel):
    """A data set that sweeps have used, told apart by what its files hold."""

    fingerprint: str
    train: str = Field(description="The annotations, as the newest of its sweeps names them.")
    val: str
    sweeps: int
    newest_sweep_id: str


class DatasetsOut(BaseModel):
    """What was trained on, and where data may be."""

    roots: list[str] = Field(description="Directories that specs may name.")
    datasets: list[DatasetOut]


class SpanOut(BaseModel):
    """An interval, with what is likely."""

    low: float
    likely: float
    high: float


class PlanOut(BaseModel):
    """What a sweep would cost; what is not known is null."""

    trials: SpanOut
    per_rung: dict[str, SpanOut] = Field(description="Trials that come to each rung.")
    iterations: SpanOut
    replicates: SpanOut
    worker_hours: SpanOut | None = None
    gpu_hours: SpanOut | None = None
    wall_s: SpanOut | None = None
    limited_by: str | None = Field(None, description="The limit that would end it.")
    basis: str | None = Field(None, description="What the times are from.")
    workers: int
    notes: list[str]


class Reason(BaseModel):
    """Why something is asked for."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "too slow"}]})

    reason: str | None = Field(
        None,
        min_length=1,
        max_length=500,
        pattern=r"^[^\x00-\x1f\x7f]+$",
        description="One line of up to 500 characters.",
        examples=["too slow"],
    )


class NewToken(BaseModel):
    """A token to be made."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "ann", "scope": "operator", "days": 90}]}
    )

    name: str = Field(
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9 ._@-]{0,98}[A-Za-z0-9._@-])?$",
        description="Whose it is.",
        examples=["ann"],
    )
    scope: Scope = Field(Scope.VIEWER, description="What it allows; each what those before it do.")
    days: float | None = Field(90, gt=0, le=3660, description="Until it expires; null: never.")


class TokenOut(BaseModel):
    """A token, without its secret."""

    token_id: str
    name: str
    scope: Scope
    created_by: str
    created_at: float = _Time
    expires_at: float | None = _MaybeTime
    revoked_by: str | None = None
    revoked_at: float | None = _MaybeTime


class TokensOut(BaseModel):
    """Every token that was ever made."""

    tokens: list[TokenOut]


class IssuedOut(BaseModel):
    """A new token."""

    token: str = Field(description="For `Authorization: Bearer`; shown here and never again.")
    about: TokenOut


class HealthOut(BaseModel):
    """Whether the service works."""

    status: Literal["ok", "unavailable"]
    version: str
    detail: str | None = None
