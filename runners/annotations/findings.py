"""Problems of single records, gathered by kind so that a thousand alike make one message."""

from dataclasses import dataclass, field

from search_spaces.issues import SpecIssue

SHOWN = 3  # records that a message names


@dataclass(slots=True)
class Findings:
    """Collects records under (path, problem), in the order in which the kinds first appear."""

    _records: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    _hints: dict[tuple[str, str], str | None] = field(default_factory=dict)

    def add(self, path: str, problem: str, record: str = "", hint: str | None = None) -> None:
        """Notes one record with a problem; without a record the problem stands for itself."""
        key = (path, problem)
        self._records.setdefault(key, []).append(record)
        self._hints.setdefault(key, hint)

    def issues(self) -> tuple[SpecIssue, ...]:
        """One issue for each kind: `boxes without an area: annotation 3, annotation 9 and 132 more`."""
        return tuple(
            SpecIssue(
                path, f"{problem}: {named(records)}" if records[0] else problem, self._hints[path, problem]
            )
            for (path, problem), records in self._records.items()
        )


def named(records: list[str]) -> str:
    """The first few of them and how many more there are: `3, 9, 12 and 132 more`."""
    rest = len(records) - SHOWN
    return ", ".join(records[:SHOWN]) + (f" and {rest} more" if rest > 0 else "")
