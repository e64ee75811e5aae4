"""A spec's warm start: which earlier sweeps to learn from, and how many of their trials."""

import re
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from search_spaces.issues import shown
from search_spaces.scalars import as_integer
from sweeps.core.spec_fields import MAX_TRIALS, problem, text_value

SCHEDULE = "schedule:"
"""Before a schedule's name, in the place of a sweep's id."""

ALL = "all"

_BEST = re.compile(r"best +(\d{1,9})")


def _trials_value(raw: object) -> str:
    """`all`, or `best N` in one spelling."""
    if raw == ALL:
        return ALL
    found = _BEST.fullmatch(raw.strip()) if isinstance(raw, str) else None
    if found is None or not 1 <= int(found[1]) <= MAX_TRIALS:
        count = as_integer(raw)
        hint = f"write best {count}" if count is not None and 1 <= count <= MAX_TRIALS else None
        raise problem(f"got {shown(raw)}, but needs all, or best 1 to best {MAX_TRIALS}", hint)
    return f"best {int(found[1])}"


class WarmStart(BaseModel):
    """What a sweep knows from the start.

    Attributes:
        sources: Ids of sweeps, or unique beginnings of them, or `schedule:NAME`; `from` in a spec.
        trials: `best N`, of all sources together, by the new sweep's objectives and constraints; or `all`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sources: Annotated[
        tuple[Annotated[str, BeforeValidator(text_value)], ...], Field(min_length=1, alias="from")
    ]
    trials: Annotated[str, BeforeValidator(_trials_value)] = "best 20"

    @property
    def best(self) -> int | None:
        """How many trials at most; None: all."""
        return None if self.trials == ALL else int(self.trials.removeprefix("best "))
