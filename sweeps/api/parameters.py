"""What a query may hold: a misspelt filter would be no filter at all."""

from collections.abc import Sequence

from fastapi import Request
from fastapi.exceptions import RequestValidationError

from search_spaces.issues import did_you_mean
from sweeps.api.wording import UNKNOWN

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
    known = [each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"]
    unknown = dict.fromkeys(name for name in request.query_params if name not in known)
    if unknown:
        raise RequestValidationError([unknown_parameter(name, known) for name in unknown])


def unknown_parameter(name: str, known: Sequence[str]) -> dict[str, object]:
    """What is wrong with a parameter that an operation does not take, as pydantic would say it."""
    return {
        "type": UNKNOWN,
        "loc": ("query", name),
        "msg": f"Unknown parameter, allowed: {', '.join(known) or 'none'}",
        "input": name,
        "ctx": {"hint": did_you_mean(name, known)},
    }
