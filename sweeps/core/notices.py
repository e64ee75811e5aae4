"""What a service tells people of: kinds, and one thing that happened, in words."""

from dataclasses import dataclass
from enum import StrEnum


class NoticeKind(StrEnum):
    """What happened; a place may hear of some kinds only."""

    NIGHT = "night"  # a schedule's night is over, or did not take place as its rule wants it
    CHAMPION = "champion"  # a schedule has another champion
    FAILED = "failed"  # a sweep failed, a night was missed or could not begin
    DEADLINE = "deadline"  # a sweep will not be done before its deadline


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing that happened.

    Attributes:
        subject: Names it among all that ever happen: of one subject people are told once.
        kind: What it is.
        title: In a line.
        body: Some lines of plain text.
        at: When it happened, in seconds since the Unix epoch.
    """

    subject: str
    kind: NoticeKind
    title: str
    body: str
    at: float


class DeliveryState(StrEnum):
    """How the telling of one thing at one place stands."""

    WAITING = "WAITING"
    SENT = "SENT"
    GIVEN_UP = "GIVEN_UP"  # it failed for a day, or no service has the place any more
