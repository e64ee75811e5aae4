"""What the API answers of champions and of the verdicts on nights."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from search_spaces.parameters import Value
from sweeps.api.models import Reason
from sweeps.core.champion import Decision

_EXAMPLE: dict[str, Any] = {
    "schedule": "nightly",
    "version": 3,
    "directory": "/srv/masksweep/champions/nightly/v3",
    "value": 41.2,
    "categories": ["gear", "bracket"],
}


class SettingsOut(BaseModel):
    """How to read a model in use."""

    mask_threshold: float
    score_threshold: float
    nms_threshold: float
    detections_per_image: int


class RetirementOut(BaseModel):
    """That somebody retired a champion."""

    at: float = Field(description="In seconds since the Unix epoch.")
    by: str = Field(description="Who did it.")
    reason: str | None


class RetireIn(Reason):
    """Which champion is retired, and why."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"version": 3, "reason": "its weights are lost"}]}
    )

    version: int | None = Field(
        None,
        ge=1,
        le=2**31 - 1,
        description="Only this one, and none that came after it; by default the last one.",
        examples=[3],
    )


class ChampionOut(BaseModel):
    """The best model that a schedule has found."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    schedule: str
    version: int = Field(description="From 1; the highest reigns, unless it was retired.")
    sweep_id: str
    number: int = Field(description="The trial.")
    promoted_at: float = Field(description="In seconds since the Unix epoch.")
    directory: str = Field(description="On the machine that keeps it.")
    metric: str = Field(description="The first objective of its sweep.")
    goal: Literal["maximize", "minimize"]
    value: float = Field(description="When it was promoted; the mean over its runs.")
    runs: int
    iterations: int = Field(description="Of its training.")
    params: dict[str, Value]
    settings: SettingsOut | None = Field(description="Null for a synthetic base.")
    categories: list[str] = Field(description="By class.")
    fingerprint: str = Field(description="Of its data.")
    retired: RetirementOut | None = Field(description="Null: it was not.")


class ChampionsOut(BaseModel):
    """Each schedule's champion, by name."""

    champions: list[ChampionOut]


class ReigningOut(BaseModel):
    """A schedule's champion, if it has one."""

    champion: ChampionOut | None
    retired: ChampionOut | None = Field(description="The last one, if none reigns since it was retired.")


class ComparisonOut(BaseModel):
    """A candidate held against a champion, on the same images by the same evaluator."""

    metric: str
    candidate: float
    champion: float
    low: float | None = Field(description="Lower bound of candidate minus champion; null: not known.")
    high: float | None = Field(description="Upper bound.")
    confidence: float = Field(description="Of each bound, 0.5 to 1.")
    images: int
    candidates: int = Field(description="That the candidate was the best of; the bounds allow for it.")
    candidate_runs: int
    champion_runs: int


class VerdictOut(BaseModel):
    """What was decided of a night's best."""

    schedule: str
    fire_at: float = Field(description="Which night, in seconds since the Unix epoch.")
    local: str = Field(description="The same by the schedule's clocks.")
    decision: Decision
    reason: str
    sweep_id: str
    number: int | None = Field(description="The trial that was judged; null: there was none.")
    against: int | None = Field(description="The champion's version that it was held against.")
    at: float = Field(description="When it was decided, in seconds since the Unix epoch.")
    comparison: ComparisonOut | None


class VerdictsOut(BaseModel):
    """Verdicts on a schedule's nights, the latest first."""

    verdicts: list[VerdictOut]
    next: str | None = Field(description="The `cursor` of the next page; null on the last one.")
