"""Rules and sweeps of many rows at once: one that cannot be read is passed over, so that the others go on."""

import json
import logging
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from sqlalchemy.engine import RowMapping

from sweeps.records import SweepRecord
from sweeps.schedules.rule import Rule
from sweeps.store import rows
from sweeps.store.schedules import rule_of, why_unreadable

_log = logging.getLogger(__name__)


def readable_rule(name: str, document: Mapping[str, Any]) -> Rule | None:
    """The rule of a schedule's row; None, with the reason logged once, if it cannot be read.

    A newer version may have written it, or somebody by hand.
    """
    try:
        return rule_of(document)
    except Exception as error:  # whatever is wrong with one row
        _tell(name, json.dumps(document, sort_keys=True), why_unreadable(error))
        return None


def readable_sweep(row: RowMapping) -> SweepRecord | None:
    """The sweep of a row; None, with the reason logged once, if its spec cannot be read."""
    try:
        return rows.sweep_record(row)
    except Exception as error:  # whatever is wrong with one row
        _tell_sweep(row["sweep_id"], why_unreadable(error))
        return None


@lru_cache(maxsize=256)
def _tell(name: str, _document: str, reason: str) -> None:
    """Once for each document, not with each tick."""
    _log.error("schedule %s is passed over, its rule cannot be read: %s", name, reason)


@lru_cache(maxsize=256)
def _tell_sweep(sweep_id: str, reason: str) -> None:
    _log.error("sweep %s is passed over, its spec cannot be read: %s", sweep_id, reason)
