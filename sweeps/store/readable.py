"""Rules and sweeps of many rows at once: one that cannot be read is passed over, so that the others go on."""

import json
import logging
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from sqlalchemy.engine import RowMapping

from sweeps.core.errors import UnreadableSweep, why_unreadable
from sweeps.records import SweepRecord
from sweeps.schedules.rule import Rule
from sweeps.store import rows
from sweeps.store.schedules import rule_of

_log = logging.getLogger(__name__)


def readable_rule(name: str, document: Mapping[str, Any]) -> Rule | None:
    """The rule of a schedule's row; None, with the reason logged once, if it cannot be read.

    A newer version may have written it, or somebody by hand.
    """
    try:
        return rule_of(document)
    except Exception as error:  # whatever is wrong with one row
        _tell(f"schedule {name}", "rule", json.dumps(document, sort_keys=True), why_unreadable(error))
        return None


def readable_sweep(row: RowMapping) -> SweepRecord | None:
    """The sweep of a row; None, with the reason logged once, if it cannot be read."""
    try:
        return rows.sweep_record(row)
    except UnreadableSweep as error:
        tell_unreadable_sweep(row["sweep_id"], error)
        return None


def tell_unreadable_sweep(sweep_id: str, error: UnreadableSweep) -> None:
    """Logs, once, that a sweep is passed over."""
    _tell(f"sweep {sweep_id}", "row", "", error.reason)


@lru_cache(maxsize=256)
def _tell(which: str, part: str, _document: str, reason: str) -> None:
    """Once for each document, not with each tick."""
    _log.error("%s is passed over, its %s cannot be read: %s", which, part, reason)
