"""What the API answers about schedules, and takes."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from sweeps.schedules.nights import FiringState, ScheduleState, Why

_TIME = "Seconds since the Unix epoch."


class NightOut(BaseModel):
    """A night: one firing of a schedule."""

    schedule: str
    fire_at: float = Field(description="As the rule says it, without jitter. " + _TIME)
    local: str = Field(description="The same by the schedule's clocks.")
    state: FiringState
    reason: str | None = Field(default=None, description="Why it is what it is.")
    why: Why = Field(description="What made it.")
    decided_at: float | None = Field(default=None, description=_TIME + " Null: a backfill would make it.")
    sweep_id: str | None = Field(default=None, description="Several nights may share one.")
    started_at: float | None = Field(default=None, description=_TIME)
    ends_at: float | None = Field(default=None, description="When its window closes. " + _TIME)
    ended_at: float | None = Field(default=None, description=_TIME)
    verdict: str | None = Field(default=None, description="What was decided of its best: PROMOTED, KEPT, ...")
    verdict_reason: str | None = Field(default=None, description="Why that was decided.")


class ScheduleOut(BaseModel):
    """A schedule."""

    name: str
    state: ScheduleState
    reason: str | None = Field(default=None, description="Why it is paused.")
    rule: dict[str, Any] = Field(description="When it fires, and how; durations as `9h`.")
    spec: dict[str, Any] = Field(description="Of its sweeps.")
    revision: int = Field(description="Grows with each change that somebody asked for.")
    created_by: str
    created_at: float = Field(description=_TIME)
    upcoming: list[float] = Field(description="The next five fire times, without jitter. " + _TIME)
    nights: list[NightOut] = Field(description="The last five, the latest first.")


class UnreadableOut(BaseModel):
    """A schedule that a newer version has written, or somebody by hand: it does not fire."""

    name: str = Field(examples=["nightly"])
    reason: str = Field(examples=["colour: unknown field"])


class SchedulesPage(BaseModel):
    """Some schedules, by name."""

    schedules: list[ScheduleOut]
    unreadable: list[UnreadableOut] = Field(description="Those among them that this version cannot read.")
    next: str | None = Field(default=None, description="Where the next page begins; null: this is the last.")


class NightsPage(BaseModel):
    """Some nights of a schedule, the latest first."""

    nights: list[NightOut]
    next: str | None = Field(default=None, description="Where the next page begins; null: this is the last.")


class ScheduleEventOut(BaseModel):
    """What happened to a schedule, or to one of its nights."""

    event_id: int
    schedule: str
    fire_at: float | None = Field(default=None, description="Of the night; null: of the schedule. " + _TIME)
    at: float = Field(description=_TIME)
    kind: str
    data: dict[str, Any]
    by: str | None = None


class ScheduleEventsPage(BaseModel):
    """Some events of a schedule, in order."""

    events: list[ScheduleEventOut]
    next: str | None = Field(default=None, description="Where the next page begins; null: this is the last.")


class AddedOut(BaseModel):
    """A schedule that was added."""

    schedule: ScheduleOut
    notes: list[str] = Field(description="What a person should know, but need not mend.")


class BackfilledOut(BaseModel):
    """What a backfill made, or would make."""

    dry_run: bool
    nights: list[NightOut] = Field(description="Those that take place by it.")
    kept: list[NightOut] = Field(description="Those that took place, or are to, without it.")


class BackfillIn(BaseModel):
    """A backfill."""

    model_config = ConfigDict(extra="forbid")

    start: str = Field(alias="from", max_length=40, description="The first day or time, by its clocks.")
    to: str = Field(max_length=40, description="The last one; a day with all its nights.")
    dry_run: bool = Field(False, description="Only says what it would make.")
