"""Rules of many schedules at once: one that cannot be read is passed over, so that the others fire."""

import json
import logging
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from sweeps.schedules.rule import Rule
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


@lru_cache(maxsize=256)
def _tell(name: str, _document: str, reason: str) -> None:
    """Once for each document, not with each tick."""
    _log.error("schedule %s is passed over, its rule cannot be read: %s", name, reason)
