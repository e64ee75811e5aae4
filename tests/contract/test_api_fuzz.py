"""The whole OpenAPI document, fuzzed: whatever is sent, the service does not fail, and answers as it says."""

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from sweeps.core.notices import Notice, NoticeKind
from sweeps.core.trial import Suggestion
from sweeps.store.outbox import Outbox
from sweeps.testing import COMPLETED, make_report, make_spec
from tests.service_client import Service, served

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def api(engine) -> Iterator[Service]:
    """A service with a sweep that has a measured trial, to be found by requests for `fuzzed`."""
    from sweeps.service import SweepService

    service = SweepService(engine)
    sweep = service.create(make_spec(name="fuzzed"), fingerprint="sha", now=1.0)
    claim = service.claim(sweep.sweep_id, 2.0)
    service.add_trial(claim, Suggestion(0, {"mask_head.num_conv": 4}, 5), {}, 3.0)
    report = make_report(iteration=300, metrics={"segm/AP": 1.0})
    service.record(claim, report, outcome=COMPLETED, sampler_attrs=None, now=4.0)
    outbox = Outbox(engine, "fuzzed")
    outbox.know({"json-0": NoticeKind}, 4.0, back_s=1.0)
    outbox.add([Notice("fuzzed", NoticeKind.FAILED, "parts: night failed", "It failed.", 4.0)], 4.0)
    outbox.make_deliveries("json-0", 4.0, back_s=1.0)
    with served(service) as api:
        yield api


def test_nothing_fails_the_service(api):
    """Requests that fit the document, and requests that do not; half of them name a sweep that is there."""
    headers = {"Authorization": f"Bearer {api.tokens['admin']}"}
    schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", api.client.app, headers=headers)
    streams = "stream$"  # they do not end
    sent = 0
    for found in schema.exclude(path_regex=streams).get_all_operations():
        operation = found.ok()
        cases = st.one_of(
            operation.as_strategy(generation_mode=GenerationMode.POSITIVE),
            operation.as_strategy(generation_mode=GenerationMode.NEGATIVE),
        )

        @settings(
            max_examples=25,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(cases, st.booleans())
        def send(case, there):
            nonlocal sent
            if there and "sweep_id" in (case.path_parameters or {}):
                case.path_parameters["sweep_id"] = "fuzzed"
            answer = case.call(headers=headers)
            case.validate_response(answer, checks=CHECKS)
            sent += 1

        send()
    assert sent > 100
