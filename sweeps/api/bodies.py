"""Bodies of requests as the routes want them: JSON objects and their models, with every problem at once."""

import json
from collections.abc import Mapping
from email.message import Message
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from search_spaces.issues import SpecIssue, did_you_mean, shown
from sweeps.api.problems import UNSUPPORTED, Refused
from sweeps.api.strict_json import read_json
from sweeps.api.wording import hint_of, problem_of_value
from sweeps.core.errors import SpecInvalid

_Model = TypeVar("_Model", bound=BaseModel)

JSON = ("application/json",)
YAML = ("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml")


def read_document(body: bytes, content_type: str | None) -> str:
    """The YAML text of a body that is YAML or JSON.

    Raises:
        Refused: It says that it is neither.
        SpecInvalid: It is not text, or not JSON though it says so.
    """
    header = Message()
    header["content-type"] = content_type or YAML[0]
    kind = header.get_content_type()
    if kind not in (*JSON, *YAML):
        raise Refused(
            UNSUPPORTED,
            f"got {kind}, but needs {JSON[0]} or {YAML[0]}",
            "name it in Content-Type",
        )
    text = _text(body)
    # the part of JSON that is YAML as well: no tabs between values
    return json.dumps(read_json(text), ensure_ascii=False, indent=1) if kind in JSON else text


def read_object(body: bytes) -> dict[str, Any]:
    """The object in a body that is JSON, whatever its header says; an empty body is an empty object.

    Raises:
        SpecInvalid: It is something else.
    """
    data = read_json(_text(body)) if body.strip() else {}
    if not isinstance(data, dict):
        raise SpecInvalid([SpecIssue("", f"got {shown(data)}, but needs a JSON object")])
    return data


def read_model(model: type[_Model], body: bytes) -> _Model:
    """What a body that is JSON says.

    Raises:
        SpecInvalid: With every problem of its fields.
    """
    try:
        return model.model_validate(read_object(body))
    except ValidationError as error:
        fields = {field.alias or name: field for name, field in model.model_fields.items()}
        hints = {name: hint_of(field.description, field.examples or ()) for name, field in fields.items()}
        found = error.errors(include_url=False)
        raise SpecInvalid([_issue(each, hints) for each in found]) from None


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
