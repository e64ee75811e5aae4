"""What is wrong with a value of a request, and what would be right, in words."""

from collections.abc import Iterable, Mapping
from typing import Any

from search_spaces.issues import shown

UNKNOWN = "unknown_parameter"
"""The type of what is wrong with a parameter that is not known, beside pydantic's own."""


def hint_of(description: str | None, examples: Iterable[object] = ()) -> str | None:
    """How a field or a parameter is described, and an example of it; None if neither is known."""
    example = next(iter(examples), None)
    words = [] if description is None else [description.rstrip(".")]
    if example is not None:
        words.append(f"as {example}")
    return ", ".join(words) or None


def problem_of_value(each: Mapping[str, Any]) -> str:
    """What is wrong with a value, in pydantic's words and with what was got."""
    message = each["msg"][:1].lower() + each["msg"][1:]
    match each["type"]:
        case "missing":
            return "missing"
        case kind if kind == UNKNOWN:
            return str(message)
        case _:
            return f"got {shown(each['input'])}: {message}"
