"""Errors as problem documents (RFC 9457): what went wrong, where, and what to do about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, Field

from search_spaces.issues import SpecIssue, printable
from sweeps.api.wording import problem_of_value
from sweeps.core.errors import (
    MasksweepError,
    SpecInvalid,
    StaleEpoch,
    StoreUnavailable,
    UnknownChampion,
    UnknownSchedule,
    UnknownSweep,
    UserError,
    WrongState,
)
from sweeps.store.answers import KeyReused
from sweeps.tracking.errors import MirrorUnavailable

MEDIA_TYPE = "application/problem+json"


class Issue(BaseModel):
    """One thing that is wrong with a request, or with the spec in it."""

    path: str = Field(description="Where: a field of the spec, a parameter or a header.")
    problem: str = Field(description="What was got and what is allowed.")
    hint: str | None = Field(None, description="What to do about it.")


class Problem(BaseModel):
    """An error."""

    type: str = Field(description="Which kind of problem; the same for all of its kind.")
    title: str = Field(description="The kind, in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What went wrong this time.")
    instance: str = Field(description="The path that was asked for.")
    hint: str | None = Field(None, description="What to do about it.")
    issues: list[Issue] = Field(
        default_factory=list, description="Every single problem, where there may be more than one."
    )


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of problem.

    Attributes:
        slug: Its name.
        status: Of the answer.
        title: In words.
        headers: The names of those that go with it, beside what every answer has.
    """

    slug: str
    status: HTTPStatus
    title: str
    headers: tuple[str, ...] = ()


class Refused(UserError):
    """What the API itself refuses, before the service is asked.

    Attributes:
        kind: Which of the kinds below.
        headers: That go with the answer.
    """

    def __init__(
        self, kind: Kind, message: str, hint: str | None = None, *, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message, hint)
        self.kind, self.headers = kind, dict(headers or {})


class BodyInvalid(SpecInvalid):
    """A body that is no spec has problems; all of them are in `issues`."""


_AGAIN, _NO_STORE = ("Retry-After",), "The store does not answer"
UNAUTHORIZED = Kind("unauthorized", HTTPStatus.UNAUTHORIZED, "No valid token", ("WWW-Authenticate",))
FORBIDDEN = Kind("forbidden", HTTPStatus.FORBIDDEN, "The token does not allow this")
NOT_FOUND = Kind("not-found", HTTPStatus.NOT_FOUND, "There is no such thing")
ALREADY = Kind("shown-once", HTTPStatus.CONFLICT, "It was made, and is not shown again")
PRECONDITION = Kind(
    "precondition-failed", HTTPStatus.PRECONDITION_FAILED, "It has changed in the meantime", ("ETag",)
)
TOO_SLOW = Kind("too-slow", HTTPStatus.REQUEST_TIMEOUT, "The request's body did not come in time")
TOO_LARGE = Kind("too-large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The request is too large")
TAKEN = Kind("name-taken", HTTPStatus.CONFLICT, "The name is taken")
UNSUPPORTED = Kind("unsupported-media-type", HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The body is of another type")
INVALID = Kind("invalid", HTTPStatus.UNPROCESSABLE_ENTITY, "The request has problems")
TOO_MANY = Kind("too-many-requests", HTTPStatus.TOO_MANY_REQUESTS, "Too many requests", _AGAIN)
TOO_BUSY = Kind("too-busy", HTTPStatus.SERVICE_UNAVAILABLE, "The service has no room for this now", _AGAIN)
FAULT = Kind("fault", HTTPStatus.INTERNAL_SERVER_ERROR, "The service failed")
_HTTP = Kind("http", HTTPStatus.BAD_REQUEST, "The request cannot be answered")

KINDS: Mapping[type[MasksweepError], Kind] = {
    BodyInvalid: Kind("invalid-body", HTTPStatus.UNPROCESSABLE_ENTITY, "The body has problems"),
    SpecInvalid: Kind("spec-invalid", HTTPStatus.UNPROCESSABLE_ENTITY, "The spec has problems"),
    UnknownSweep: Kind("unknown-sweep", HTTPStatus.NOT_FOUND, "There is no such sweep"),
    UnknownSchedule: Kind("unknown-schedule", HTTPStatus.NOT_FOUND, "There is no such schedule"),
    UnknownChampion: Kind("unknown-champion", HTTPStatus.NOT_FOUND, "There is no such champion"),
    WrongState: Kind("wrong-state", HTTPStatus.CONFLICT, "Its state does not allow this"),
    StaleEpoch: Kind("lost-race", HTTPStatus.CONFLICT, "Somebody else was faster"),
    KeyReused: Kind("key-reused", HTTPStatus.UNPROCESSABLE_ENTITY, "The idempotency key is taken"),
    StoreUnavailable: Kind("store-unavailable", HTTPStatus.SERVICE_UNAVAILABLE, _NO_STORE, _AGAIN),
    MirrorUnavailable: Kind(
        "mlflow-unavailable", HTTPStatus.SERVICE_UNAVAILABLE, "MLflow does not answer", _AGAIN
    ),
    UserError: INVALID,
}
"""Core errors, each with the kind of problem that it is; of a class that is not here, its base's."""


def problem_of(error: MasksweepError, instance: str) -> tuple[Problem, Mapping[str, str]]:
    """The document of an error, and headers that go with it."""
    headers: dict[str, str] = {}
    issues: list[SpecIssue] = []
    kind = next((KINDS[base] for base in type(error).__mro__ if base in KINDS), FAULT)
    detail, hint = str(error), getattr(error, "hint", None)
    if isinstance(error, Refused):
        kind, headers = error.kind, error.headers
    if isinstance(error, SpecInvalid):
        issues = list(error.issues)
        detail = f"{len(issues)} problem{'s' if len(issues) != 1 else ''}"
    if isinstance(error, StaleEpoch):
        hint = "look at the sweep again, then ask again"
    if isinstance(error, StoreUnavailable):
        # Where the store is, is the operator's business: the log has it.
        detail, hint, headers = "the store does not answer now", "try again in 5 s", {"Retry-After": "5"}
    if isinstance(error, MirrorUnavailable):
        headers = {"Retry-After": "5"}
    return problem(kind, detail, instance, hint=hint, issues=issues), headers


def problem(
    kind: Kind, detail: str, instance: str, *, hint: str | None = None, issues: Sequence[SpecIssue] = ()
) -> Problem:
    """A problem document."""
    return Problem(
        type=f"urn:masksweep:problem:{kind.slug}",
        title=kind.title,
        status=kind.status,
        detail=printable(detail),
        instance=printable(instance),
        hint=None if hint is None else printable(hint),
        issues=[Issue(path=each.path, problem=each.problem, hint=each.hint) for each in issues],
    )


def fault_problem(instance: str) -> Problem:
    """The document of what should not have happened, of which its log tells more."""
    detail, hint = "the service failed; its log tells how", "tell whoever runs the service"
    return problem(FAULT, detail, instance, hint=hint)


def http_problem(status: int, detail: str, instance: str, allowed: str | None = None) -> Problem:
    """The document of what the framework itself refuses: no such path, no such method.

    Args:
        status: Of HTTP.
        detail: What went wrong.
        instance: The path that was asked for.
        allowed: The methods that the path has, if that is known.
    """
    kind = Kind(_HTTP.slug, HTTPStatus(status), HTTPStatus(status).phrase)
    hint = "GET /api/v1/openapi.json lists every path with its methods"
    return problem(kind, detail, instance, hint=f"allowed here: {allowed}" if allowed else hint)


def invalid_problem(errors: Sequence[Any], instance: str, hints: Mapping[str, str]) -> Problem:
    """The document of parameters that do not fit.

    Args:
        errors: Pydantic's; one may have a `hint` of its own in its `ctx`.
        instance: The path that was asked for.
        hints: What there is to say of each parameter, by its name.
    """
    issues = [
        SpecIssue(
            _path(each["loc"]),
            problem_of_value(each),
            each.get("ctx", {}).get("hint") or hints.get(str(each["loc"][-1])),
        )
        for each in errors
    ]
    detail = f"{len(issues)} problem{'s' if len(issues) != 1 else ''}"
    return problem(INVALID, detail, instance, issues=issues)


def _path(loc: Sequence[object]) -> str:
    return ".".join(str(part) for part in loc)
