"""The OpenAPI document: every operation with an example of each answer, and each of its errors."""

import json
import typing
from dataclasses import replace

import jsonschema
import pytest
import sqlalchemy as sa

from sweeps.api.app import create_app
from sweeps.api.guard import OPEN_PATHS
from sweeps.api.room import MOST_AT_WORK
from sweeps.service import SweepService
from sweeps.testing import make_spec
from tests.service_client import ROOMY, served

DOCUMENT: dict[str, typing.Any] = create_app(SweepService(sa.create_engine("sqlite://"))).openapi()
OPERATIONS = [
    pytest.param(path, method, operation, id=f"{method} {path}")
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
]
PROBLEM = "application/problem+json"


def examples(content: dict) -> list:
    return (
        [content["example"]] if "example" in content else [v["value"] for v in content["examples"].values()]
    )


def check(value, schema: dict) -> None:
    whole = {**schema, "components": DOCUMENT["components"]}
    jsonschema.Draft202012Validator(whole).validate(value)


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_every_answer_has_an_example_that_fits_its_schema(path, method, operation):
    """Successes and errors alike; text that is no JSON has an example too."""
    for status, answer in operation["responses"].items():
        if status == "304":  # has no body
            continue
        assert answer["content"], status
        for kind, content in answer["content"].items():
            shown = examples(content)
            assert shown, (status, kind)
            for value in shown:
                check(value, content.get("schema", {}))
            if int(status) >= 400 and path not in OPEN_PATHS:
                assert kind == PROBLEM
                assert {value["status"] for value in shown} == {int(status)}


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_every_operation_tells_its_errors(path, method, operation):
    """Those of every request, and those of what it takes: a sweep's id, a body, If-Match, a wider scope."""
    statuses = {int(status) for status in operation["responses"]}
    taken = {parameter["name"] for parameter in operation.get("parameters", [])}
    if path in OPEN_PATHS:
        assert {200, 429, 500} <= statuses
        return
    assert {401, 408, 413, 429, 500, 503} <= statuses
    assert (404 in statuses) == ("{" in path)
    assert (422 in statuses) == path.startswith("/api/v1/")  # a parameter that is not known
    assert (415 in statuses) == ("requestBody" in operation)
    assert (412 in statuses) == ("If-Match" in taken)
    admins = "tokens" in path or "notifications" in path
    viewer = not admins and (method == "get" or path.endswith("/plan"))
    assert (403 in statuses) == (not viewer)  # whoever has a token may look
    assert operation["security"] == [{"token": []}]


def kinds(operation: dict, status: str) -> set[str]:
    """The kinds of problem that an operation tells of under a status."""
    content = operation["responses"].get(status, {}).get("content", {})
    return set(content.get(PROBLEM, {}).get("examples", {}))


def test_what_may_find_no_room_tells_of_it(service):
    """Everything that reads data sets or asks MLflow, and the streams, by a limit of their own."""
    busy, told = set(), set()
    with served(service, limits=replace(ROOMY, streams=0), prefix="room") as api:
        api.client.app.state.core.at_work = MOST_AT_WORK
        sweep_id = service.create(make_spec(), fingerprint="", now=1.0).sweep_id
        for path, operations in DOCUMENT["paths"].items():
            for method, operation in operations.items():
                where = path.format(sweep_id=sweep_id, name="nightly", number=0)
                answer = api.client.request(
                    method, where, headers={"Authorization": f"Bearer {api.tokens['admin']}"}
                )
                if answer.status_code == 503 and answer.json()["type"].endswith(":too-busy"):
                    busy.add((method, path))
                if "too-busy" in kinds(operation, "503"):
                    told.add((method, path))
    assert busy == told
    assert ("post", "/api/v1/sweeps/{sweep_id}/mirror") in busy
    assert ("get", "/api/v1/sweeps/{sweep_id}/nights") not in busy


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_every_body_has_an_example_that_fits(path, method, operation):
    """As JSON, and where it may be YAML as text."""
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        (value,) = examples(content)
        check(value if kind.endswith("yaml") else json.loads(json.dumps(value)), content["schema"])
