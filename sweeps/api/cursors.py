"""Cursors: places in lists as opaque text, good for the list that they are of and no other."""

import base64
import binascii
import json
import math
from typing import Any

from sweeps.api.problems import INVALID, Refused
from sweeps.store.listing import Place


def write_cursor(kind: str, after: Place | None) -> str | None:
    """A place as text; None at the list's end."""
    if after is None:
        return None
    text = json.dumps([kind, *after], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(kind: str, text: str | None, shape: tuple[type, ...]) -> Place | None:
    """The place behind which a page begins; None: at the beginning.

    Args:
        kind: Of the list, with how it is sorted.
        text: From `write_cursor`.
        shape: The type of each value. A number may be missing where it is a float that is not the last.

    Raises:
        Refused: It is not from there, or from another list.
    """
    if text is None:
        return None
    try:
        padded = text.encode() + b"=" * (-len(text) % 4)
        raw: Any = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        raw = None
    fits = isinstance(raw, list) and len(raw) == len(shape) + 1 and raw[0] == kind
    if not fits or not all(_is(value, wanted) for value, wanted in zip(raw[1:], shape, strict=True)):
        raise Refused(INVALID, "cursor: it is not one of this list", "take `next` of the page before")
    return tuple(raw[1:])


def _is(value: object, wanted: type) -> bool:
    if wanted is float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return value is None or (number and abs(value) < 1e300 and math.isfinite(value))  # type: ignore[arg-type]
    if wanted is int:
        return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31
    return isinstance(value, wanted) and "\0" not in str(value) and str(value).isprintable()
