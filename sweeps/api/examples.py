"""Examples of answers for the OpenAPI document, made from the schemas of what is answered."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

_MOMENT = 1795000000.0
_KNOWN: Mapping[str, Any] = MappingProxyType(
    {
        "sweep_id": "parts-nightly-a2b3c4",
        "newest_sweep_id": "parts-nightly-a2b3c4",
        "metric": "segm/AP",
        "knob": "mask_head.conv_dim",
        "params": {"mask_head.conv_dim": 128},
        "metrics": {"segm/AP": 31.4},
        "spec": {"version": 1, "name": "parts-nightly", "base": {"synthetic": "curves"}},
        "budget": {"trials": 20},
        "extension": {"trials": 5},
        "fingerprint": "9f2c5d7e",
        "created_by": "ann",
        "by": "ann",
        "host": "node1",
        "token": "msw_Zk3...",
        "token_id": "k3x9",
        "schedule": "nightly",
        "rule": {"cron": "0 22 * * *", "timezone": "Europe/Berlin", "window": "9h"},
        "local": "2026-11-18 22:00 Europe/Berlin",
        "upcoming": [_MOMENT],
        "roots": ["/data"],
        "train": "/data/parts/train.json",
        "val": "/data/parts/val.json",
        "tracking_uri": "https://mlflow.example.org",
        "experiment_id": "1",
        "parent_run_id": "0f3b",
        "compare_url": "https://mlflow.example.org/#/compare-runs",
        "version": "0.1.0",
        "notes": [],
        "requests": [],
        "per_rung": {"900": {"low": 4.0, "likely": 6.0, "high": 9.0}},
        "front": [3],
    }
)
"""What fields hold, by their name; without a field's name nobody could say what a text is."""

_ABSENT = frozenset({"next", "problem", "replicate_of", "ended_at", "answered_at", "reason", "detail"})
"""Fields that are null in an example, where they may be."""


def example_of(schema: Mapping[str, Any], schemas: Mapping[str, Any], name: str = "") -> Any:
    """A value that a schema allows, the same each time.

    Args:
        schema: JSON Schema, as pydantic writes it.
        schemas: What its references name.
        name: The field's that holds it.
    """
    schema = _one_of(schema, schemas, name)
    known, kind = _KNOWN.get(name), schema.get("type")
    fits = isinstance(known, list) == (kind == "array") and isinstance(known, dict) == (kind == "object")
    if known is not None and "enum" not in schema and fits:
        return known
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if "enum" in schema:
        return schema["enum"][0]
    if kind == "object":
        return _object(schema, schemas)
    if kind == "array":
        return [example_of(schema["items"], schemas)]
    moment = name == "at" or name.endswith("_at")
    plain = {"number": 0.5, "integer": 3, "boolean": False, "string": name or "text"}
    return _MOMENT if moment and kind == "number" else plain.get(kind or "null")


def _one_of(schema: Mapping[str, Any], schemas: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A schema that is no reference and no choice."""
    while "$ref" in schema or "anyOf" in schema:
        if "$ref" in schema:
            schema = schemas[schema["$ref"].rpartition("/")[2]]
        else:
            options = schema["anyOf"]
            null = name in _ABSENT and {"type": "null"} in options
            schema = {"type": "null"} if null else options[0]
    return schema


def _object(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> dict[str, Any]:
    if "properties" not in schema:
        return _mapping(schema, schemas)
    own = schema.get("examples", [{}])[0]
    fields = schema["properties"].items()
    return {key: own.get(key, example_of(field, schemas, key)) for key, field in fields}


def _mapping(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> dict[str, Any]:
    values = schema.get("additionalProperties")
    if not isinstance(values, dict):
        return {}
    key = example_of(schema.get("propertyNames", {"type": "string"}), schemas, "name")
    return {str(key): example_of(values, schemas)}
