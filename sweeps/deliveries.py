"""What is told of deliveries: the same documents by the API and by `--json`."""

from typing import Any

from sweeps.core.notices import DeliveryState
from sweeps.store.outbox import Delivery


def delivery_document(each: Delivery) -> dict[str, Any]:
    """A delivery as JSON holds it. Its place is a name: the URL is in no store."""
    return {
        "notification_id": each.notification_id,
        "place": each.place,
        "state": each.state.value,
        "kind": each.kind.value,
        "title": each.title,
        "body": each.body,
        "at": each.at,
        "attempts": each.attempts,
        "next_at": each.next_at if each.state is DeliveryState.WAITING else None,
        "by": each.by,
        "ended_at": each.ended_at,
        "error": each.error,
    }
