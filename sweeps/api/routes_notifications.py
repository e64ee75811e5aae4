"""Notifications: what was told where, and what waits; read only: services send them."""

from typing import Annotated

from fastapi import APIRouter, Query

from sweeps.api import models_notifications as models
from sweeps.api.context import Admin, CoreHere
from sweeps.api.cursors import read_cursor, write_cursor
from sweeps.core.notices import DeliveryState
from sweeps.deliveries import delivery_document
from sweeps.store.outbox import last_deliveries

router = APIRouter(prefix="/api/v1/notifications", tags=["notifications"])


@router.get("", summary="List notifications, the newest first")
def list_notifications(
    core: CoreHere,
    _: Admin,
    state: Annotated[DeliveryState | None, Query(description="Those in this state alone.")] = None,
    limit: Annotated[int, Query(ge=1, le=500, description="Items of a page.")] = 50,
    cursor: Annotated[str | None, Query(max_length=2000, description="`next` of the page before.")] = None,
) -> models.NotificationsPage:
    """One entry for each place that was to hear of it, under the place's name: its URL is in no store."""
    after = read_cursor("notifications", cursor, (int, str))
    found = last_deliveries(
        core.service.engine,
        limit + 1,
        state=state,
        after=None if after is None else (int(after[0]), str(after[1])),
    )
    shown, more = found[:limit], len(found) > limit
    place = (shown[-1].notification_id, shown[-1].place) if more else None
    document = {
        "deliveries": [delivery_document(each) for each in shown],
        "next": write_cursor("notifications", place),
    }
    return models.NotificationsPage.model_validate(document)
