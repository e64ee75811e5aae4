"""A spec's pruner: its options, which type reads which, and what it needs of the other sections."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict

from search_spaces.issues import SpecIssue
from sweeps.core.metrics import metric_named
from sweeps.core.spec_fields import MAX_TRIALS, number, one_of, whole

MAX_RESOURCE = 10**12
"""Of `reduction_factor ** (rungs - 1)`, by which Hyperband shares trials out among brackets."""

_TYPES = ("successive_halving", "hyperband", "median", "percentile", "patient", "wilcoxon", "none")
_WITH_SEVERAL = "successive_halving, hyperband, median and percentile judge several"
_JUDGED_BY_IMAGE = ("segm", "boundary", "overlap", "op", "lrp")

PRUNER_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "successive_halving": ("reduction_factor",),
    "hyperband": ("reduction_factor",),
    "median": ("startup_trials", "warmup_rungs"),
    "percentile": ("percentile", "startup_trials", "warmup_rungs"),
    "patient": ("patience", "min_delta", "inner"),
    "wilcoxon": ("p_threshold", "min_images", "startup_trials", "warmup_rungs"),
    "none": (),
}
"""Type -> the options that it reads; `patient` reads those of its `inner` as well."""


class Pruner(BaseModel):
    """Which trials stop early. The last rung stops nothing.

    Attributes:
        reduction_factor: Successive halving and Hyperband let one trial in so many pass a rung; 2 to 100.
        startup_trials: Nothing stops before so many trials have completed; at least 1.
        warmup_rungs: Nothing stops at a trial's first so many rungs; 0 to 1000.
        percentile: The best so many % of the completed trials at a rung are the bar; in (0, 100).
        patience: So many rungs without a better value are borne before one stops the trial; 0 to 1000.
        min_delta: A value counts as worse if it falls short by more than this, in the objective's unit; at
            least 0.
        inner: The rule that has to agree once patience is out; none: nothing has to.
        p_threshold: Probability of so clear a difference by chance, below which a trial stops; in (0, 1).
        min_images: Validation images that a test needs at least; 2 or more.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Annotated[
        Literal["successive_halving", "hyperband", "median", "percentile", "patient", "wilcoxon", "none"],
        one_of(*_TYPES),
    ] = "successive_halving"
    reduction_factor: Annotated[int, whole(2, 100)] = 3
    startup_trials: Annotated[int, whole(1, MAX_TRIALS)] = 5
    warmup_rungs: Annotated[int, whole(0, 1000)] = 0
    percentile: Annotated[float, number(" above 0 and below 100", lambda value: 0 < value < 100)] = 25.0
    patience: Annotated[int, whole(0, 1000)] = 0
    min_delta: Annotated[float, number(" of at least 0", lambda value: value >= 0)] = 0.0
    inner: Annotated[Literal["median", "percentile", "none"], one_of("median", "percentile", "none")] = "none"
    p_threshold: Annotated[float, number(" above 0 and below 1", lambda value: 0 < value < 1)] = 0.1
    min_images: Annotated[int, whole(2)] = 10


def options_read(given: Mapping[Any, Any], kind: str) -> tuple[str, ...]:
    """The options that a pruner as written reads, by its type and what it wraps."""
    inner = given.get("inner") if kind == "patient" else None
    return PRUNER_OPTIONS[kind] + (PRUNER_OPTIONS.get(inner, ()) if isinstance(inner, str) else ())


def objective_issues(pruner: Pruner, objectives: Sequence[tuple[str, str]]) -> Iterator[SpecIssue]:
    """Pruners that cannot judge by what the sweep is judged by.

    Args:
        pruner: Sound in itself.
        objectives: (metric, goal) of each.
    """
    if pruner.type not in ("patient", "wilcoxon"):
        return
    if len(objectives) > 1:
        problem = f"{pruner.type} judges one objective, but there are {len(objectives)}"
        yield SpecIssue("pruner.type", problem, _WITH_SEVERAL)
    elif pruner.type == "wilcoxon":
        (metric, goal), *_ = objectives
        known = metric_named(metric)
        if metric.split("/")[0] not in _JUDGED_BY_IMAGE or (known is not None and known.goal != goal):
            problem = f"wilcoxon compares how well masks fit, which says nothing of {goal} {metric}"
            yield SpecIssue("pruner.type", problem, "median stops trials by any objective")


def rung_issues(pruner: Pruner, rungs: int) -> Iterator[SpecIssue]:
    """Pruners that could stop nothing, or would count beyond what a number holds, with so many rungs."""
    read = options_read({"inner": pruner.inner}, pruner.type)
    if "patience" in read and rungs < pruner.patience + 3:
        problem = f"a patience of {pruner.patience} needs {pruner.patience + 3} rungs, but there are {rungs}"
        yield SpecIssue("pruner.patience", problem, "the last rung stops nothing")
    if "warmup_rungs" in read and pruner.warmup_rungs and pruner.warmup_rungs >= rungs - 1:
        problem = f"got {pruner.warmup_rungs}, which leaves none of {rungs} rungs to stop a trial at"
        yield SpecIssue("pruner.warmup_rungs", problem, "the last rung stops nothing")
    if pruner.type == "hyperband" and pruner.reduction_factor ** (rungs - 1) > MAX_RESOURCE:
        most = 1
        while pruner.reduction_factor**most <= MAX_RESOURCE:
            most += 1
        problem = f"hyperband with a reduction factor of {pruner.reduction_factor} takes {most} rungs at most"
        yield SpecIssue("pruner.reduction_factor", f"{problem}, but there are {rungs}")
