"""What the API answers of notifications."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from sweeps.core.notices import DeliveryState, NoticeKind

_TIME = "In seconds since the Unix epoch."
_EXAMPLE: dict[str, Any] = {
    "notification_id": 12,
    "place": "slack-93c1f0a2be57d4e8",
    "state": "WAITING",
    "kind": "champion",
    "title": "nightly: champion v3",
    "body": "Trial 7 of sweep parts-nightly-a2b3c4 is the champion of nightly from now on, version 3.",
    "attempts": 2,
    "by": "node1/4711/notifier",
    "error": "HTTP error 503",
}


class DeliveryOut(BaseModel):
    """A notification on its way to a place."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    notification_id: int = Field(description="The same number is the same message, also where it came twice.")
    place: str = Field(description="Scheme and digest of a URL, which is a secret of the services.")
    state: DeliveryState
    kind: NoticeKind
    title: str
    body: str
    at: float = Field(description="When that happened. " + _TIME)
    attempts: int
    next_at: float | None = Field(description="Not tried before. " + _TIME + " Null once it has ended.")
    by: str | None = Field(description="The service that made the last attempt; null before the first.")
    ended_at: float | None = Field(description="When it was SENT or GIVEN_UP. " + _TIME)
    error: str | None = Field(description="Of the last attempt.")


class NotificationsPage(BaseModel):
    """Deliveries of the newest notifications first."""

    deliveries: list[DeliveryOut]
    next: str | None = Field(default=None, description="Where the next page begins; null: this is the last.")
