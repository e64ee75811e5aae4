"""Why a sweep ends before it has tried everything."""

from dataclasses import dataclass
from enum import StrEnum


class Limit(StrEnum):
    """A limit of a budget, by its field's name."""

    TRIALS = "trials"
    GPU_HOURS = "gpu_hours"
    WALL = "wall"
    DEADLINE = "deadline"
    TARGET = "target"
    NO_IMPROVEMENT = "no_improvement"


@dataclass(frozen=True, slots=True)
class Stop:
    """Why a sweep must end: a sentence for people, and the limit if it is one, which can be extended."""

    reason: str
    limit: Limit | None = None
