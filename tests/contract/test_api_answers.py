"""The OpenAPI document against what the service answers: the headers of answers, and examples of errors."""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import httpx2
import pytest
import sqlalchemy as sa

from sweeps.api.app import create_app
from sweeps.api.headers import HEADERS
from sweeps.api.room import MOST_AT_WORK
from sweeps.core.trial import Suggestion
from sweeps.service import SweepService
from sweeps.store.engine import open_engine
from sweeps.store.migrations import upgrade
from sweeps.testing import make_spec
from tests.service_client import CURVES, ROOMY, Service, served

DOCUMENT = create_app(SweepService(sa.create_engine("sqlite://"))).openapi()
PROBLEM = "application/problem+json"
UNSEEN = {"fault", "too-slow", "lost-race"}
"""Kinds that no request of a test brings about: of a fault, a slow client, and two at the same moment."""


@dataclass
class Heard:
    """Requests of a service, with what was answered to each operation."""

    api: Service
    answers: list[tuple[str, str, httpx2.Response]] = field(default_factory=list)

    def __call__(self, method: str, path: str, **more) -> httpx2.Response:
        answer = self.api(method, path, **more)
        parts = answer.url.path.split("/")
        # a path of words comes before one with names: `events/stream` is no sweep's
        fitting = [each for each in DOCUMENT["paths"] if fits(each, parts)]
        found = min(fitting, key=lambda each: each.count("{"))
        self.answers.append((method.lower(), found, answer))
        return answer

    def twice(self, path: str, key: str, scope: str = "operator", **more) -> httpx2.Response:
        """The first of two equal answers under a key."""
        headers = {"Idempotency-Key": key, **more.pop("headers", {})}
        first, _ = (self("POST", path, scope=scope, headers=headers, **more) for _ in range(2))
        return first


def fits(template: str, parts: list[str]) -> bool:
    wanted = template.split("/")
    return len(wanted) == len(parts) and all(
        a.startswith("{") or a == b for a, b in zip(wanted, parts, strict=True)
    )


def sweeps_are_asked(heard: Heard) -> None:
    """What is asked of sweeps, done and refused."""
    made = heard.twice("/sweeps", "s1", json=CURVES)
    sweep_id, tag = made.json()["sweep"]["sweep_id"], made.headers["ETag"]
    path = f"/sweeps/{sweep_id}"
    heard("POST", "/sweeps", json={**CURVES, "name": "other"}, headers={"Idempotency-Key": "s1"})
    heard("POST", "/sweeps", json={**CURVES, "colour": "red", "space": {"CONV_HEAD_DIM": {"choices": [1]}}})
    heard("POST", "/sweeps", content=b"a", headers={"Content-Type": "application/x-www-form-urlencoded"})
    heard("POST", "/plan", json=CURVES, headers={"Idempotency-Key": "p1"})
    heard("GET", path)
    heard("GET", path, headers={"If-None-Match": heard("GET", path).headers["ETag"]})
    heard.twice(f"{path}/extend", "e1", json={"trials": 5})
    heard("POST", f"{path}/extend", json={"trials": 0})
    heard("POST", f"{path}/extend", content=b"a", headers={"Content-Type": "text/plain"})
    for verb in ("pause", "cancel", "resume"):
        heard("POST", f"{path}/{verb}", headers={"If-Match": tag})
    heard("POST", f"{path}/cancel", json={"raeson": "too slow"})
    claim = heard.api.core.claim(sweep_id, heard.api.clock.now)
    heard.api.core.add_trial(claim, Suggestion(0, {"solver.base_lr": 0.001}, 5), {}, heard.api.clock.now)
    heard.api.clock.tick(3600.0)
    heard.twice(f"{path}/pause", "pause1")
    heard.twice(f"{path}/resume", "resume1")
    heard.twice(f"{path}/cancel", "cancel1", json={"reason": "too slow"})
    for verb in ("pause", "resume"):
        heard("POST", f"{path}/{verb}")
    heard("POST", f"{path}/extend", json={"trials": 1})
    heard("GET", f"{path}/trials/0")
    heard("GET", f"{path}/trials/99")
    heard("GET", f"{path}/trials", params={"limit": "many"})
    heard("GET", f"{path}9")
    heard("POST", f"{path}/mirror")
    for end in ("measurements", "leaderboard", "pareto", "importance", "nights", "events", "trials"):
        heard("GET", f"{path}/{end}")


def schedules_are_asked(heard: Heard) -> None:
    """What is asked of schedules and of tokens."""
    body = {"name": "nightly", "spec": CURVES, "cron": "0 22 * * *"}
    heard.twice("/schedules", "a1", json=body)
    heard("POST", "/schedules", json={**body, "cron": "0 23 * * *"})
    heard("POST", "/schedules", json={**body, "cron": "0 23 * *"})
    heard("POST", "/schedules", json={**body, "spec": {**CURVES, "colour": "red"}})
    for end in ("", "/nights", "/events", "/champion", "/verdicts"):
        heard("GET", f"/schedules/nightly{end}")
        heard("GET", f"/schedules/nightli{end}")
    heard("GET", "/schedules/nightly/champion", params={"version": 9})
    days = {"from": "2027-01-10", "to": "2027-01-11"}
    heard.twice("/schedules/nightly/backfill", "b1", json=days)
    heard("POST", "/schedules/nightly/backfill", json={"from": "2027-01-10", "till": "2027-01-11"})
    heard.twice("/schedules/nightly/pause", "c1", json={"reason": "holidays"})
    heard("POST", "/schedules/nightly/backfill", json=days)
    heard.twice("/schedules/nightly/resume", "d1")
    heard.twice("/schedules/nightly/remove", "f1")
    heard.twice("/tokens", "t1", scope="admin", json={"name": "ann"})
    heard("POST", "/tokens", scope="admin", json={"name": "ann"})
    heard("POST", "/tokens", scope="admin", json={"nam": "ann", "days": -1})
    heard.twice("/tokens/ann/revoke", "r1", scope="admin")
    heard("POST", "/tokens/nobody/revoke", scope="admin")
    for path in ("/sweeps", "/schedules", "/knobs", "/metrics", "/datasets", "/champions", "/events"):
        heard("GET", path)
    for path in ("/tokens", "/notifications"):
        heard("GET", path, scope="admin")


def everything_is_refused(heard: Heard, scope: str | None) -> None:
    """Every operation is asked for once."""
    for path, operations in DOCUMENT["paths"].items():
        for method in operations:
            heard(method.upper(), path.format(sweep_id="none", name="nightly", number=0), scope=scope)


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str, httpx2.Response]]:
    """What a service answers to typical requests, and to untypical ones."""
    directory = tmp_path_factory.mktemp("answers")
    engine = open_engine(f"sqlite:///{directory}/store.db")
    upgrade(engine)
    service = SweepService(engine)
    found: list[tuple[str, str, httpx2.Response]] = []

    def told(prefix: str, **limits) -> Iterator[Heard]:
        with served(service, limits=replace(ROOMY, streams=0, **limits), prefix=prefix) as api:
            yield Heard(api, found)

    for heard in told("typical"):
        sweeps_are_asked(heard)
        schedules_are_asked(heard)
        everything_is_refused(heard, None)
        everything_is_refused(heard, "viewer")
        heard.api.client.app.state.core.at_work = MOST_AT_WORK
        everything_is_refused(heard, "admin")
    for heard in told("small", body_bytes=10):
        heard("POST", "/sweeps", json=CURVES)
    for heard in told("few", burst=1, requests_per_s=1e-3):
        everything_is_refused(heard, "operator")
    for heard in told("streams", streams_of_token=0):
        heard("GET", "/events/stream")
    sweep_id = service.create(make_spec(), fingerprint="", now=1.0).sweep_id
    with served(service, prefix="mlflow", tracking_uri=f"sqlite:///{directory}/none/mlflow.db") as api:
        (directory / "none").write_text("a file and no directory")
        Heard(api, found)("POST", f"/sweeps/{sweep_id}/mirror")
    for heard in told("away"):
        heard("GET", "/knobs", scope="admin")
        (directory / "store.db").rename(directory / "elsewhere.db")
        everything_is_refused(heard, "admin")
        (directory / "elsewhere.db").rename(directory / "store.db")
    engine.dispose()
    return found


def test_the_document_tells_of_the_headers_of_answers(answers):
    """Each header that some answer of an operation and a status had, and no other."""
    carried, described = defaultdict(set), {}
    for method, path, answer in answers:
        at = method, path, str(answer.status_code)
        carried[at] |= {name for name in HEADERS if name in answer.headers}
        told = DOCUMENT["paths"][path][method]["responses"].get(at[2])
        assert told is not None, at
        described[at] = set(told.get("headers", {}))
    assert {at: names for at, names in carried.items() if names != described[at]} == {}
    assert set().union(*carried.values()) == set(HEADERS)


def test_the_headers_of_answers_are_as_described(answers):
    """By their schemas: seconds, a word, a path."""
    for _, _, answer in answers:
        for name in [name for name in HEADERS if name in answer.headers]:
            schema, value = HEADERS[name]["schema"], answer.headers[name]
            assert value == schema.get("const", value)
            assert re.search(schema.get("pattern", ""), value)


def shape(document: dict) -> tuple:
    """Which fields of a problem say something."""
    said = {name: bool(document[name]) for name in ("detail", "hint", "issues")}
    return document["title"], document["status"], tuple(said.items())


def test_examples_of_errors_are_as_they_are_answered(answers):
    """Those of an operation have a hint and issues where its own answers of that kind have them."""
    seen = set()
    for method, path, answer in answers:
        if answer.headers.get("content-type") != PROBLEM:
            continue
        document = answer.json()
        kind = document["type"].rpartition(":")[2]
        told = DOCUMENT["paths"][path][method]["responses"][str(answer.status_code)]["content"][PROBLEM]
        assert kind in told["examples"], (method, path, kind)
        example = told["examples"][kind]["value"]
        assert shape(example) == shape(document), (method, path, document, example)
        assert set(example["issues"][0] if example["issues"] else ()) == set(
            document["issues"][0] if document["issues"] else ()
        )
        seen.add(kind)
    described = {
        kind
        for operations in DOCUMENT["paths"].values()
        for operation in operations.values()
        for told in operation["responses"].values()
        for kind in told.get("content", {}).get(PROBLEM, {}).get("examples", {})
    }
    assert described - seen == UNSEEN


def test_examples_of_errors_say_more_than_their_title():
    """What was got, as of the case: no two kinds of one operation say the same."""
    for operations in DOCUMENT["paths"].values():
        for operation in operations.values():
            for status, told in operation["responses"].items():
                shown = told.get("content", {}).get(PROBLEM, {}).get("examples", {})
                for example in shown.values():
                    value = example["value"]
                    assert value["detail"] != value["title"], status
                    assert "{" not in value["instance"]
