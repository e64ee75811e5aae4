"""A service on a store, reached through its whole ASGI application."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
from starlette.testclient import TestClient

from sweeps.api.app import create_app
from sweeps.api.config import Limits, ServiceConfig
from sweeps.api.paths import DataRoots
from sweeps.core.scopes import Scope
from sweeps.service import SweepService
from sweeps.store.tokens import Tokens
from sweeps.testing import FakeClock

CURVES: dict[str, Any] = {
    "version": 1,
    "name": "curves",
    "base": {"synthetic": "curves"},
    "objectives": [{"metric": "segm/AP"}],
    "space": {"solver.base_lr": {"low": 0.0001, "high": 0.01, "log": True}},
    "fidelity": {"iterations": 900, "rungs": [100, 300, 900]},
    "budget": {"trials": 20, "gpu_hours": 1},
}
"""A spec without files."""

ROOMY = Limits(requests_per_s=1e6, burst=1_000_000, stream_poll_s=0.01)


class Service:
    """What tests see of a service."""

    def __init__(
        self,
        client: TestClient,
        core: SweepService,
        clocks: tuple[FakeClock, FakeClock],
        tokens: dict[str, str],
    ) -> None:
        self.client, self.core, self.tokens = client, core, tokens
        self.clock, self.seconds = clocks

    def __call__(
        self,
        method: str,
        path: str,
        *,
        scope: str | None = "operator",
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> httpx2.Response:
        """One request under /api/v1 with a token of that scope."""
        proof = {} if scope is None else {"Authorization": f"Bearer {self.tokens[scope]}"}
        url = path if path in ("/healthz", "/readyz") or path.startswith("/api/") else f"/api/v1{path}"
        return self.client.request(method, url, headers={**proof, **(headers or {})}, **more)

    def submit(self, **sections: Any) -> str:
        """A new sweep's id."""
        answer = self("POST", "/sweeps", json={**CURVES, **sections})
        assert answer.status_code == 201, answer.text
        sweep_id: str = answer.json()["sweep"]["sweep_id"]
        return sweep_id


@contextmanager
def served(
    core: SweepService,
    *,
    roots: tuple[Path, ...] = (),
    limits: Limits = ROOMY,
    prefix: str = "t",
    tracking_uri: str | None = None,
) -> Iterator[Service]:
    """A service over a store, with a token of each scope."""
    clock, seconds = FakeClock(), FakeClock(0.0)
    config = ServiceConfig(DataRoots(roots), limits, tracking_uri, clock=clock, monotonic=seconds)
    made = Tokens(core.engine)
    tokens = {
        scope.value: made.create(f"{prefix}-{scope}", scope, by="test", now=clock.now)[0] for scope in Scope
    }
    with TestClient(create_app(core, config), raise_server_exceptions=False) as client:
        yield Service(client, core, (clock, seconds), tokens)


def problem(answer: httpx2.Response, status: int, kind: str) -> dict[str, Any]:
    """The document of an answer that is to be that problem."""
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert (answer.status_code, document["status"]) == (status, status), document
    assert document["type"] == f"urn:masksweep:problem:{kind}"
    return document
