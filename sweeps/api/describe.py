"""The OpenAPI document: what bodies hold, what can go wrong in each operation, how to show a token."""

from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from sweeps.api.example_problems import example_problem
from sweeps.api.examples import example_of
from sweeps.api.guard import OPEN_PATHS
from sweeps.api.headers import described, of_success
from sweeps.api.models import NewToken, Reason
from sweeps.api.models_champions import RetireIn
from sweeps.api.parameters import parameter_hint
from sweeps.api.problems import (
    ALREADY,
    FAULT,
    FORBIDDEN,
    INVALID,
    KINDS,
    MEDIA_TYPE,
    NOT_FOUND,
    PRECONDITION,
    TAKEN,
    TOO_BUSY,
    TOO_LARGE,
    TOO_MANY,
    TOO_SLOW,
    UNAUTHORIZED,
    UNSUPPORTED,
    BodyInvalid,
    Kind,
    Problem,
)
from sweeps.api.schedule_models import BackfillIn
from sweeps.core.errors import (
    SpecInvalid,
    StaleEpoch,
    StoreUnavailable,
    UnknownChampion,
    UnknownSchedule,
    UnknownSweep,
    WrongState,
)
from sweeps.schedules.rule import MOST_CAUGHT_UP, CatchUp, Overlap
from sweeps.store.answers import KeyReused
from sweeps.tracking.errors import MirrorUnavailable

_SPEC_EXAMPLE = {
    "version": 1,
    "name": "curves",
    "base": {"synthetic": "curves"},
    "objectives": [{"metric": "segm/AP"}],
    "space": {"solver.base_lr": {"low": 0.0001, "high": 0.01, "log": True}},
    "fidelity": {"iterations": 900, "rungs": [100, 300, 900]},
    "budget": {"trials": 20},
}
_YAML_EXAMPLE = """version: 1
name: curves
base: {synthetic: curves}
objectives: [{metric: segm/AP}]
space:
  solver.base_lr: {low: 0.0001, high: 0.01, log: true}
fidelity: {iterations: 900, rungs: [100, 300, 900]}
budget: {trials: 20}
"""
_SPEC = {
    "type": "object",
    "description": "A spec, as `masksweep run` takes it. It is checked field by field, all problems at once.",
    "required": ["version", "name", "base"],
    "properties": {
        "version": {"const": 1},
        "name": {"type": "string"},
        "base": {"type": "object"},
        "dataset": {"type": "object"},
        "space": {"type": "object"},
        "budget": {"type": "object"},
        "fidelity": {"type": "object"},
    },
}
_EXTENSION = {
    "type": "object",
    "description": "What to add; one field or more.",
    "additionalProperties": False,
    "minProperties": 1,
    "properties": {
        "trials": {"type": "integer", "minimum": 1},
        "gpu_hours": {"type": "number", "exclusiveMinimum": 0},
        "wall": {"type": "string", "description": "As `1h30m`."},
        "deadline": {"type": "string", "description": "The next such time, as `07:00 Europe/Berlin`."},
        "target": {"type": "object", "additionalProperties": {"type": "number"}},
        "no_improvement": {"type": "integer", "minimum": 1},
    },
}


def _body(required: bool, **content: Mapping[str, Any]) -> dict[str, Any]:
    kinds = {"json": "application/json", "yaml": "application/yaml"}
    return {
        "requestBody": {
            "required": required,
            "content": {kinds[name]: dict(c) for name, c in content.items()},
        }
    }


SPEC_BODY = _body(
    True,
    json={"schema": _SPEC, "example": _SPEC_EXAMPLE},
    yaml={"schema": {"type": "string"}, "example": _YAML_EXAMPLE},
)
EXTENSION_BODY = _body(True, json={"schema": _EXTENSION, "example": {"trials": 20}})
REASON_BODY = _body(False, json={"schema": Reason.model_json_schema(), "example": {"reason": "too slow"}})
RETIRE_BODY = _body(
    False,
    json={
        "schema": RetireIn.model_json_schema(),
        "example": {"version": 3, "reason": "its weights are lost"},
    },
)
_RULE = {
    "cron": {"type": "string", "description": "Five fields, as `0 22 * * *`."},
    "timezone": {"type": "string", "description": "By whose clocks, as `Europe/Berlin`."},
    "window": {"type": "string", "description": "How long a night is, as `9h`; then its sweep pauses."},
    "jitter": {"type": "string", "description": "Begin up to that much later, as `10m`."},
    "overlap": {"enum": [str(each) for each in Overlap]},
    "catch_up": {"enum": [str(each) for each in CatchUp]},
    "catch_up_limit": {"type": "integer", "minimum": 1, "maximum": MOST_CAUGHT_UP},
    "gpu_hours": {"type": "number", "exclusiveMinimum": 0, "description": "Of a night."},
    "warm_start": {"type": "boolean", "description": "Whether new sweeps learn from earlier nights."},
    "confidence": {
        "type": "number",
        "minimum": 0.5,
        "exclusiveMaximum": 1,
        "description": "At which a night's best must be better than the champion to take its place.",
    },
    "priority": {"type": "integer", "minimum": -1000, "maximum": 1000},
    "weight": {"type": "number", "exclusiveMinimum": 0, "maximum": 1000},
}
_SCHEDULE = {
    "type": "object",
    "description": "A schedule; its spec as YAML in a text, or as an object.",
    "required": ["name", "spec", "cron"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"},
        "spec": {"anyOf": [{"type": "string"}, _SPEC]},
        **_RULE,
    },
}
_SCHEDULE_EXAMPLE = {
    "name": "nightly",
    "spec": _SPEC_EXAMPLE,
    "cron": "0 22 * * *",
    "timezone": "Europe/Berlin",
    "window": "9h",
}
SCHEDULE_BODY = _body(True, json={"schema": _SCHEDULE, "example": _SCHEDULE_EXAMPLE})
BACKFILL_BODY = _body(
    True,
    json={
        "schema": BackfillIn.model_json_schema(),
        "example": {"from": "2026-01-30", "to": "2026-01-31", "dry_run": True},
    },
)
TOKEN_BODY = _body(
    True,
    json={
        "schema": NewToken.model_json_schema(ref_template="#/components/schemas/{model}"),
        "example": {"name": "ann", "scope": "operator", "days": 90},
    },
)

_EVERYWHERE = (UNAUTHORIZED, TOO_SLOW, TOO_LARGE, TOO_MANY, FAULT, KINDS[StoreUnavailable])
_MAY_FIND_NO_ROOM = ("/importance", "/mirror", "/stream")
"""Ends of paths of what is limited at once, beside all that checks a spec with its data."""


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of an app, with the errors of every operation."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        tags=app.openapi_tags,
    )
    components = document.setdefault("components", {})
    components["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "From `masksweep token create`."}
    }
    schemas = components.setdefault("schemas", {})
    errors = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= {**errors.pop("$defs", {}), "Problem": errors}
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            responses = operation["responses"]
            responses.pop("422", None)
            _add_examples(responses, schemas)
            taken = [parameter["name"] for parameter in operation.get("parameters", ())]
            for code, answer in responses.items():
                if int(code) < 400:
                    _add_headers(answer, of_success(path, code, taken))
            for code, answer in _responses(path, method, operation).items():
                responses.setdefault(code, answer)
            if path not in OPEN_PATHS:
                operation["security"] = [{"token": []}]
    return document


def parameter_hints(document: Mapping[str, Any], path: str, method: str) -> dict[str, str]:
    """What the OpenAPI document says of each parameter of an operation that it describes."""
    operation = document["paths"].get(path, {}).get(method.lower(), {})
    found = {each["name"]: parameter_hint(each) for each in operation.get("parameters", ())}
    return {name: hint for name, hint in found.items() if hint is not None}


def _kinds(path: str, method: str, operation: Mapping[str, Any]) -> Iterable[Kind]:
    """What can go wrong: everywhere, and by what the operation takes."""
    if path in OPEN_PATHS:
        return (TOO_MANY, TOO_SLOW, TOO_LARGE, FAULT)
    taken = {parameter["name"] for parameter in operation.get("parameters", ())}
    body = _of_body(operation["requestBody"]["content"]) if "requestBody" in operation else ()
    changes, of_sweep = method != "get" and not path.endswith("/plan"), "sweep_id" in taken
    of_schedule, of_tokens = "schedules/{name}" in path, "/tokens" in path
    within = bool(taken & {"number", "name"}) and "{" in path and not of_schedule
    rules: tuple[tuple[bool, Iterable[Kind]], ...] = (
        (path.startswith("/api/v1/"), [INVALID]),
        (True, body),
        (of_sweep, [KINDS[UnknownSweep]]),
        (of_schedule, [KINDS[UnknownSchedule]]),
        (of_schedule and "/champion" in path, [KINDS[UnknownChampion]]),
        (within, [NOT_FOUND]),
        (changes and of_sweep, [KINDS[WrongState], KINDS[StaleEpoch]]),
        (changes and path.endswith(("/schedules", "/backfill", "/retire")), [KINDS[WrongState]]),
        (changes and "Idempotency-Key" in taken, [KINDS[KeyReused]]),
        (changes and path.endswith("/tokens"), [ALREADY, TAKEN]),
        ("If-Match" in taken, [PRECONDITION]),
        (changes or of_tokens or "/notifications" in path, [FORBIDDEN]),
        (KINDS[SpecInvalid] in body or path.endswith(_MAY_FIND_NO_ROOM), [TOO_BUSY]),
        (path.endswith("/mirror"), [KINDS[MirrorUnavailable]]),
    )
    return [*_EVERYWHERE, *(kind for holds, some in rules if holds for kind in some)]


def _of_body(content: Mapping[str, Any]) -> tuple[Kind, ...]:
    """What may be wrong with a body: with a spec, with what is none, or with one that has a spec in it."""
    if "application/yaml" in content:
        return KINDS[SpecInvalid], UNSUPPORTED
    within = content["application/json"]["schema"].get("properties", {})
    return (KINDS[BodyInvalid], UNSUPPORTED, *([KINDS[SpecInvalid]] if "spec" in within else []))


def _add_headers(answer: dict[str, Any], names: Iterable[str]) -> None:
    found = described(names)
    if found:
        answer.setdefault("headers", {}).update(found)


def _add_examples(responses: Mapping[str, Any], schemas: Mapping[str, Any]) -> None:
    """An example of each answer that has none of its own."""
    for answer in responses.values():
        for content in answer.get("content", {}).values():
            if "schema" in content and not {"example", "examples"} & set(content):
                content["example"] = example_of(content["schema"], schemas)


def _responses(path: str, method: str, operation: Mapping[str, Any]) -> dict[str, Any]:
    """The errors of an operation, each kind with an example."""
    responses: dict[str, Any] = {}
    for kind in _kinds(path, method, operation):
        code = str(int(kind.status))
        example = example_problem(kind, path, operation).model_dump()
        found = responses.setdefault(
            code,
            {
                "description": kind.title,
                "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": {}}},
            },
        )
        if kind.title not in found["description"]:
            found["description"] += f", or: {kind.title}"
        found["content"][MEDIA_TYPE]["examples"][kind.slug] = {"value": example}
        _add_headers(found, kind.headers)
    return responses
