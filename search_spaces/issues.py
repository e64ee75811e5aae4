"""One problem of a spec, and the near names offered for a typo."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches


@dataclass(frozen=True, slots=True)
class SpecIssue:
    """One problem, printed as `path: problem`, with the hint after it.

    Attributes:
        path: Where it is, as a user would write it: `space.mask_head.conv_dim.choices[1]`.
        problem: What was got and what is allowed.
        hint: How to mend it, or None.
    """

    path: str
    problem: str
    hint: str | None = None

    def __str__(self) -> str:
        text = f"{self.path}: {self.problem}" if self.path else self.problem
        return f"{text} (hint: {self.hint})" if self.hint else text


def did_you_mean(word: str, candidates: Iterable[str]) -> str | None:
    """The hint for a misspelt name: `did you mean conv_dim?`, or None if nothing is near."""
    near = get_close_matches(word, list(candidates), n=1, cutoff=0.6)
    return f"did you mean {near[0]}?" if near else None
