"""Values of a spec: what YAML gives, turned into what a knob takes, or a problem in words."""

import math
import re

from search_spaces.issues import did_you_mean, shown
from search_spaces.knob_types import Knob, OneOf
from search_spaces.parameters import Value

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_TRUTH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


class BadValueError(Exception):
    """A value that does not fit.

    Attributes:
        problem: What was got and what is allowed.
        hint: How to mend it, or None.
    """

    def __init__(self, problem: str, hint: str | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.hint = hint


def as_number(raw: object) -> float | int | None:
    """A finite number, or None. `1e-3`, which YAML 1.1 reads as text, is a number; true and false are not."""
    if isinstance(raw, str) and _NUMBER.fullmatch(raw.strip()):
        raw = float(raw)
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not math.isfinite(raw):
        return None
    return raw


def as_integer(raw: object) -> int | None:
    """A whole number, or None. 300.0 and 3e2 are whole."""
    number = as_number(raw)
    return int(number) if number is not None and number == int(number) else None


def as_truth(raw: object) -> bool | None:
    """True or false, or None; YAML's yes, no, on and off count."""
    if isinstance(raw, str):
        return _TRUTH.get(raw.lower())
    return raw if isinstance(raw, bool) else None


def knob_value(entry: Knob, raw: object) -> Value:
    """The value that a user wrote, in the knob's type.

    Raises:
        BadValueError: It has another type, or is not legal.
    """
    value = _typed(entry, raw)
    if value is not None and entry.legal.allows(value):
        return value
    got = shown(raw)
    if isinstance(entry.legal, OneOf):
        raise BadValueError(f"{got} is not one of {entry.legal}", _choice_hint(entry.legal, raw))
    if value is None:
        noun = "whole number" if entry.kind == "int" else "number"
        raise BadValueError(f"{got} is not a {noun} ({entry.legal} is allowed)")
    low, high, multiple = entry.legal.low, entry.legal.high, entry.legal.multiple
    if multiple > 1 and low <= float(value) <= high:
        raise BadValueError(f"{got} is not a multiple of {multiple}")
    raise BadValueError(f"{got} is not between {low:g} and {high:g}")


def _typed(entry: Knob, raw: object) -> Value | None:
    match entry.kind:
        case "int":
            return as_integer(raw)
        case "float":
            number = as_number(raw)
            return None if number is None else float(number)
        case "bool":
            return as_truth(raw)
        case "str":
            return raw if isinstance(raw, str) else None


def _choice_hint(legal: OneOf, raw: object) -> str | None:
    if "none" in legal.values and (raw is None or raw is False or raw in ("", "off", "no")):
        return "write none"
    return did_you_mean(raw, [str(value) for value in legal.values]) if isinstance(raw, str) else None
