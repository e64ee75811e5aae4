"""What is added to a sweep's budget after its spec was written. The spec itself never changes."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError

from search_spaces.issues import SpecIssue
from sweeps.core.budget import Goal
from sweeps.core.errors import SpecInvalid
from sweeps.core.spec_fields import (
    MAX_TRIALS,
    PROBLEM,
    deadline_value,
    duration,
    metric_value,
    number,
    seconds,
    whole,
)
from sweeps.core.spec_model import Budget
from sweeps.core.stops import Limit


class Extension(BaseModel):
    """An addition to a budget. What is None or empty is left as it is.

    Attributes:
        trials: So many trials more.
        gpu_hours: So many GPU-hours more.
        wall_s: So many seconds of drivers' lives more; `wall` in a document.
        deadline: The next time at which a clock shows this takes the place of the deadline.
        target: These values take the place of the target's.
        no_improvement: So many trials more may end without a better one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    trials: Annotated[int | None, whole(1, MAX_TRIALS)] = None
    gpu_hours: Annotated[float | None, number(" above 0", lambda value: value > 0)] = None
    wall_s: Annotated[
        float | None, BeforeValidator(seconds), PlainSerializer(duration, when_used="unless-none")
    ] = Field(default=None, alias="wall")
    deadline: Annotated[str | None, BeforeValidator(deadline_value)] = None
    target: dict[Annotated[str, BeforeValidator(metric_value)], Annotated[float, number()]] = Field(
        default_factory=dict
    )
    no_improvement: Annotated[int | None, whole(1, MAX_TRIALS)] = None

    @property
    def limits(self) -> frozenset[Limit]:
        """What it touches."""
        return frozenset(Limit(name) for name in self.document())

    def document(self) -> dict[str, Any]:
        """As JSON; `read_extension` makes it again."""
        given = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        return {name: value for name, value in given.items() if value != {}}

    def __str__(self) -> str:
        """`20 trials more, 1h of wall time more`."""
        more = {
            "trials": f"{self.trials} trial{'s' if self.trials != 1 else ''} more",
            "gpu_hours": f"{self.gpu_hours:g} GPU-hours more" if self.gpu_hours else "",
            "wall": f"{duration(self.wall_s)} of wall time more" if self.wall_s else "",
            "deadline": f"deadline {self.deadline}",
            "target": ", ".join(f"target {name} {value:g}" for name, value in self.target.items()),
            "no_improvement": f"{self.no_improvement} more without improvement",
        }
        return ", ".join(more[name] for name in self.document())


def read_extension(document: Mapping[str, Any]) -> Extension:
    """An extension from what a user, or the store, has of it.

    Raises:
        SpecInvalid: With every problem, each under the name of its limit.
    """
    try:
        return Extension.model_validate(dict(document))
    except ValidationError as error:
        issues = []
        for each in error.errors(include_url=False):
            path = ".".join(str(part) for part in each["loc"] if part != "[key]")
            ours = each["type"] == PROBLEM
            problem = each["ctx"]["text"] if ours else each["msg"]
            issues.append(SpecIssue(path, problem, each["ctx"]["hint"] if ours else None))
        raise SpecInvalid(issues) from None


def joined(before: Extension, more: Extension) -> Extension:
    """Two extensions as one."""
    return before.model_copy(
        update={
            "trials": _sum(before.trials, more.trials),
            "gpu_hours": _sum(before.gpu_hours, more.gpu_hours),
            "wall_s": _sum(before.wall_s, more.wall_s),
            "deadline": more.deadline or before.deadline,
            "target": {**before.target, **more.target},
            "no_improvement": _sum(before.no_improvement, more.no_improvement),
        }
    )


def extended(budget: Budget, more: Extension) -> Budget:
    """A budget with an extension that fits it."""
    return budget.model_copy(
        update={
            "trials": budget.trials + (more.trials or 0),
            "gpu_hours": _sum(budget.gpu_hours, more.gpu_hours),
            "wall_s": _sum(budget.wall_s, more.wall_s),
            "deadline": more.deadline or budget.deadline,
            "target": {**budget.target, **more.target},
            "no_improvement": _sum(budget.no_improvement, more.no_improvement),
        }
    )


def misfits(budget: Budget, goals: Mapping[str, Goal], more: Extension) -> list[SpecIssue]:
    """Why an extension does not fit the budget that it extends; empty if it does."""
    issues = []
    if budget.trials + (more.trials or 0) > MAX_TRIALS:
        problem = f"{budget.trials} and {more.trials} are more than {MAX_TRIALS}"
        issues.append(SpecIssue("trials", problem))
    there = {
        Limit.GPU_HOURS: budget.gpu_hours,
        Limit.WALL: budget.wall_s,
        Limit.DEADLINE: budget.deadline,
        Limit.TARGET: budget.target,
        Limit.NO_IMPROVEMENT: budget.no_improvement,
    }
    for limit, value in there.items():
        if limit in more.limits and not value:
            issues.append(SpecIssue(limit, "the budget has no such limit to extend"))
    for name, value in more.target.items() if budget.target else ():
        if name not in budget.target:
            problem = f"it is not in the target, this is: {', '.join(budget.target)}"
            issues.append(SpecIssue(f"target.{name}", problem))
        elif goals[name].reached(budget.target[name], value):
            problem = f"got {value:g}, but needs a value that is better than {budget.target[name]:g}"
            issues.append(SpecIssue(f"target.{name}", problem))
    return issues


def _sum(a: Any, b: Any) -> Any:
    return b if a is None else a if b is None else a + b
