"""One problem of a spec, and the words that problems are put in."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

_MOST_DIGITS = 60
"""Of a whole number that is printed in full."""


def printable(text: str) -> str:
    """A text that every output takes: UTF-8, a terminal, a database.

    Keys of YAML and JSON, and names of files, may hold halves of characters (`\\ud800`), which no UTF-8 has,
    and JSON zero bytes, which PostgreSQL does not take: they are written out.
    """
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


@dataclass(frozen=True, slots=True)
class SpecIssue:
    """One problem, printed as `path: problem`, with the hint after it; `printable`, whatever a spec holds.

    Attributes:
        path: Where it is, as a user would write it: `space.mask_head.conv_dim.choices[1]`.
        problem: What was got and what is allowed.
        hint: How to mend it, or None.
    """

    path: str
    problem: str
    hint: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", printable(self.path))
        object.__setattr__(self, "problem", printable(self.problem))
        object.__setattr__(self, "hint", None if self.hint is None else printable(self.hint))

    def __str__(self) -> str:
        text = f"{self.path}: {self.problem}" if self.path else self.problem
        return f"{text} (hint: {self.hint})" if self.hint else text


def did_you_mean(word: str, candidates: Iterable[str]) -> str | None:
    """The hint for a misspelt name: `did you mean conv_dim?`, or None if nothing is near."""
    by_lower = {candidate.lower(): candidate for candidate in candidates}
    near = get_close_matches(word.lower(), list(by_lower), n=1, cutoff=0.6)
    return f"did you mean {by_lower[near[0]]}?" if near else None


def shown(value: object) -> str:
    """A value as YAML would write it, cut to a line: `true`, `null`, `a mapping`, `'12 '`."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case dict():
            return "a mapping"
        case list() | tuple():
            return "an empty list" if not value else f"a list of {len(value)}"
        case str():
            text = value if len(value) <= 60 else value[:57] + "..."
            return text if text and text == text.strip() and text.isprintable() else repr(text)
        case _:
            huge = isinstance(value, int) and abs(value) >= 10**_MOST_DIGITS  # str() refuses some of these
            return f"a whole number of more than {_MOST_DIGITS} digits" if huge else str(value)


def listed(values: Iterable[object]) -> str:
    """Allowed values in one line: `1, 2, 4`."""
    return ", ".join(shown(value) for value in values)
