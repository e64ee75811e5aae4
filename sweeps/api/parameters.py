"""What a query may hold: a misspelt filter would be no filter at all."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError

from search_spaces.issues import did_you_mean
from sweeps.api.wording import UNKNOWN, hint_of

_PREFIX = "/api/v1/"


async def only_known(request: Request) -> None:
    """Lets a request of the API pass whose query has nothing but what its operation takes.

    It takes no thread: all may be waiting for something. What else the service answers is asked by load
    balancers and the like, which may add to a query.

    Raises:
        RequestValidationError: With every parameter that is not known.
    """
    path = getattr(request.scope.get("route"), "path_format", "")
    if not path.startswith(_PREFIX) or not request.query_params:
        return
    operation = request.app.openapi()["paths"][path][request.method.lower()]
    known = query_names(operation)
    unknown = dict.fromkeys(name for name in request.query_params if name not in known)
    if unknown:
        raise RequestValidationError([unknown_parameter(name, known) for name in unknown])


def query_names(operation: Mapping[str, Any]) -> list[str]:
    """The names of what an operation of the OpenAPI document takes in its query."""
    return [each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"]


def parameter_hint(parameter: Mapping[str, Any]) -> str | None:
    """What the OpenAPI document says of a parameter, with an example; None if it has neither."""
    schema = parameter.get("schema", {})
    one = next((part for part in schema.get("anyOf", ()) if "examples" in part), schema)
    return hint_of(parameter.get("description"), one.get("examples") or schema.get("examples") or ())


def unknown_parameter(name: str, known: Sequence[str]) -> dict[str, object]:
    """What is wrong with a parameter that an operation does not take, as pydantic would say it."""
    return {
        "type": UNKNOWN,
        "loc": ("query", name),
        "msg": f"Unknown parameter, allowed: {', '.join(known) or 'none'}",
        "input": name,
        "ctx": {"hint": did_you_mean(name, known)},
    }
