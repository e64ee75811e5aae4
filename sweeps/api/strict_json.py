"""JSON as RFC 8259 has it and no more: no name twice in an object, no infinity, no number without end."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from search_spaces.issues import SpecIssue
from sweeps.core.errors import SpecInvalid

_MOST_DIGITS = 300
"""Of a whole number: as in YAML, and what a float can hold."""


def read_json(text: str) -> Any:
    """What a text says.

    Raises:
        SpecInvalid: It is not JSON.
    """
    try:
        return json.loads(text, object_pairs_hook=_no_twins, parse_constant=_no_constant, parse_int=_int)
    except SpecInvalid:
        raise
    except (ValueError, RecursionError) as error:
        raise SpecInvalid([SpecIssue("", f"not JSON: {error}")]) from None


def _no_twins(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    times = Counter(name for name, _ in pairs)
    twice = sorted(name for name, count in times.items() if count > 1)
    if twice:
        raise SpecInvalid([SpecIssue(name, "written twice in one object") for name in twice])
    return dict(pairs)


def _int(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        problem = f"a number of {len(digits)} digits, of which {_MOST_DIGITS} are allowed"
        raise SpecInvalid([SpecIssue("", problem)])
    return int(digits)


def _no_constant(name: str) -> object:
    raise SpecInvalid([SpecIssue("", f"{name} is not JSON")])
