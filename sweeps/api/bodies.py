"""Bodies of requests as the routes want them: JSON objects and their models, with every problem at once."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from search_spaces.documents import length_issues
from search_spaces.issues import SpecIssue, did_you_mean, shown
from sweeps.api.problems import UNSUPPORTED, BodyInvalid, Refused
from sweeps.api.strict_json import read_json
from sweeps.api.wording import hint_of, problem_of_value
from sweeps.core.errors import SpecInvalid

_Model = TypeVar("_Model", bound=BaseModel)

JSON = ("application/json",)
YAML = ("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml")


@dataclass(frozen=True, slots=True)
class Sent:
    """A request's body.

    Attributes:
        content: Its bytes.
        content_type: The header of that name, or None.
    """

    content: bytes
    content_type: str | None


def read_document(body: Sent) -> str | Mapping[str, Any]:
    """What a body that holds a spec says: the text of one that is YAML, the object of one that is JSON.

    Raises:
        Refused: It does not say that it is either.
        SpecInvalid: It is not text, or no JSON object though it says that it is JSON.
    """
    allowed = f"{YAML[0]} or {JSON[0]}"
    kind = _kind(body, (*JSON, *YAML), allowed, f"'Content-Type: {YAML[0]}' --data-binary @spec.yaml")
    text = _text(body.content)
    if kind not in JSON:
        return text
    issues = length_issues(text)
    if issues:
        raise SpecInvalid(issues)
    # not by way of YAML, which takes some characters within texts for ends of lines
    data = read_json(text)
    if not isinstance(data, dict):
        raise SpecInvalid([SpecIssue("", f"got {shown(data)}, but a spec is a mapping of fields")])
    return data


def read_object(body: Sent) -> dict[str, Any]:
    """The object in a body that is JSON; an empty body is an empty object, whatever its type.

    Raises:
        Refused: It does not say that it is JSON.
        BodyInvalid: It is something else.
    """
    if not body.content.strip():
        return {}
    _kind(body, JSON, JSON[0], f"'Content-Type: {JSON[0]}' --data-binary @body.json")
    with of_body():
        data = read_json(_text(body.content))
    if not isinstance(data, dict):
        raise BodyInvalid([SpecIssue("", f"got {shown(data)}, but needs a JSON object")])
    return data


def read_model(model: type[_Model], body: Sent) -> _Model:
    """What a body that is JSON says.

    Raises:
        Refused: It does not say that it is JSON.
        BodyInvalid: With every problem of its fields.
    """
    try:
        return model.model_validate(read_object(body))
    except ValidationError as error:
        fields = {field.alias or name: field for name, field in model.model_fields.items()}
        hints = {name: hint_of(field.description, field.examples or ()) for name, field in fields.items()}
        found = error.errors(include_url=False)
        raise BodyInvalid([_issue(each, hints) for each in found]) from None


@contextmanager
def of_body() -> Iterator[None]:
    """Within it, what is wrong with a spec's field is wrong with a body that is no spec."""
    try:
        yield
    except BodyInvalid:
        raise
    except SpecInvalid as error:
        raise BodyInvalid(error.issues) from error


def _kind(body: Sent, kinds: Collection[str], allowed: str, curl: str) -> str:
    """The type of a body, in small letters and without parameters; of an empty one the last that is allowed.

    Raises:
        Refused: It is none of `kinds`. Nothing is guessed: in a form, what curl sends of itself, a spec has
            lost its lines.
    """
    given = body.content_type
    kind = "" if given is None else given.partition(";")[0].strip().lower()
    if kind in kinds:
        return kind
    if not body.content:
        return list(kinds)[-1]
    got = "no Content-Type" if given is None else shown(given)
    raise Refused(UNSUPPORTED, f"got {got}, but needs {allowed}", f"with curl: -H {curl}")


def _issue(each: ErrorDetails, hints: Mapping[str, str | None]) -> SpecIssue:
    name = str(each["loc"][0]) if each["loc"] else ""
    path = ".".join(str(part) for part in each["loc"])
    if each["type"] == "extra_forbidden":
        return SpecIssue(path, f"unknown field, allowed: {', '.join(hints)}", did_you_mean(name, hints))
    return SpecIssue(path, problem_of_value(each), hints.get(name))


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SpecInvalid([SpecIssue("", f"not UTF-8 text (byte {error.start})")]) from None
