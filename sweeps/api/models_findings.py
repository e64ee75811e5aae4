"""What the API answers of what a sweep has shown."""

from typing import Literal

from pydantic import BaseModel, Field


class KnobImportanceOut(BaseModel):
    """What one knob has to do with an objective."""

    knob: str
    importance: float = Field(description="0 to 1; those of an objective's knobs sum to 1.")
    by_chance: float = Field(description="How often values dealt at random give the knob as much.")
    active: float = Field(description="The share of the trials that have the knob.")


class ObjectiveImportanceOut(BaseModel):
    """What mattered for one objective."""

    metric: str
    goal: Literal["maximize", "minimize"]
    iterations: int = Field(description="The rung at which trials are compared; 0 if none was measured.")
    trials: int = Field(description="Trials measured there.")
    best_trials: int = Field(description="How many of them are held against all.")
    knobs: list[KnobImportanceOut]
    problem: str | None = Field(None, description="Why there is nothing to tell.")


class ImportanceOut(BaseModel):
    """Which knobs mattered, for each objective."""

    sweep_id: str
    objectives: list[ObjectiveImportanceOut]


class NightOut(BaseModel):
    """A night of a schedule. Times are seconds since the Unix epoch."""

    schedule: str
    fire_at: float = Field(description="Which night of it.")
    local: str = Field(description="The same by the schedule's clocks.")
    state: str
    started_at: float | None
    ended_at: float | None
    decision: str | None = Field(description="What was decided of its best, or null.")
    verdict: str | None = Field(description="Why, in words.")
    compare_url: str | None = Field(description="MLflow's comparison of the best trials that ran in it.")


class NightsOut(BaseModel):
    """The nights of a sweep, first to last; none of one that no schedule fired."""

    sweep_id: str
    compare_url: str | None = Field(description="MLflow's comparison of the sweep's best trials, or null.")
    nights: list[NightOut]


class MirroredOut(BaseModel):
    """Where MLflow shows a sweep."""

    tracking_uri: str = Field(description="Without its password.")
    experiment_id: str | None
    parent_run_id: str | None
    compare_url: str | None
