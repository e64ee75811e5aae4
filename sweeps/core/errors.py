"""The error tree.

MasksweepError
├── UserError            the user can mend it: exit code 2, no traceback
│   ├── SpecInvalid      every problem of a spec at once
│   ├── UnknownSweep     no sweep, or more than one, answers to that id
│   ├── UnknownSchedule  no schedule has that name
│   ├── UnreadableSweep, UnreadableSchedule  a newer version has written it, or somebody by hand
│   ├── WrongState       the sweep or trial is not in a state that allows this
│   │   └── DataChanged  the data set is not what it was when the sweep was created
│   ├── StoreUnavailable the store cannot be read or written as things are: locked, full, gone
│   ├── MissingExtra     an optional part of the installation is needed
│   └── MirrorUnavailable (sweeps.tracking): MLflow does not answer; the store has it all
└── StaleEpoch           another driver took the sweep over: stop, never retry
"""

from collections.abc import Sequence

from search_spaces.issues import SpecIssue, printable


class MasksweepError(Exception):
    """Base of everything that masksweep raises on purpose."""


class UserError(MasksweepError):
    """Something that the user can mend; its words are `printable`.

    Attributes:
        hint: What to do about it; printed after a blank line.
    """

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(printable(message))
        self.hint = None if hint is None else printable(hint)


class SpecInvalid(UserError):
    """A spec, or the data it names, has problems; all of them are in `issues`."""

    def __init__(self, issues: Sequence[SpecIssue]) -> None:
        super().__init__("\n".join(str(issue) for issue in issues))
        self.issues = tuple(issues)


class UnknownSweep(UserError):
    """No sweep, or more than one, answers to the given id or prefix."""


_NEWER = "a newer masksweep has written it, or somebody by hand: run that version"


class UnreadableSweep(UserError):
    """What the store has of a sweep is not what this version writes.

    Attributes:
        reason: What is wrong.
    """

    def __init__(self, sweep_id: str, reason: str) -> None:
        super().__init__(f"sweep {sweep_id} cannot be read: {reason}", _NEWER)
        self.reason = reason


class UnknownSchedule(UserError):
    """No schedule has that name, or it was removed."""


class UnreadableSchedule(UserError):
    """What the store has of a schedule is not what this version writes.

    Attributes:
        name: The schedule's.
        reason: What is wrong.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(
            f"schedule {name} cannot be read: {reason}",
            f"{_NEWER}, or remove it: masksweep schedule rm {name}",
        )
        self.name, self.reason = name, reason


class UnknownChampion(UserError):
    """A schedule has had no champion of that version.

    Args:
        schedule: Its name.
        version: That was asked for.
        newest: The version of its last champion, from 1; None: it has had none yet.
    """

    def __init__(self, schedule: str, version: int, newest: int | None) -> None:
        there = "it has none yet" if newest is None else f"there are v1 to v{newest}"
        hint = "there is v1" if newest == 1 else there
        super().__init__(f"schedule {schedule} has had no champion v{version}", hint)


class WrongState(UserError):
    """The sweep is in a state that does not allow what was asked."""


class DataChanged(WrongState):
    """The data set is another one than when the sweep was created: its trials could not be compared."""


class StoreUnavailable(UserError):
    """The store cannot be read or written now.

    Attributes:
        passing: Whether waiting may help, as with a lock or a server that is being restarted. A driver then
            tries again for some minutes.
    """

    def __init__(self, message: str, hint: str | None = None, *, passing: bool = False) -> None:
        super().__init__(message, hint)
        self.passing = passing


class MissingExtra(UserError):
    """A part of the installation that this command needs is absent."""


class StaleEpoch(MasksweepError):
    """The sweep's epoch has moved on: another driver owns it. Never retried; the loser stops at once."""


def why_unreadable(error: Exception) -> str:
    """Why a row could not be read, in a line; of what is no word to anybody, its kind as well."""
    if isinstance(error, UserError):
        return str(error)
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
