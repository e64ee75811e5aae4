"""The service's web application."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from importlib.metadata import version
from typing import Any, cast

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from sweeps.api import (
    routes_catalog,
    routes_champions,
    routes_events,
    routes_findings,
    routes_health,
    routes_notifications,
    routes_schedules,
    routes_sweeps,
    routes_tokens,
    routes_trials,
)
from sweeps.api.config import ServiceConfig
from sweeps.api.context import Core
from sweeps.api.describe import describe, parameter_hints
from sweeps.api.guard import Guard
from sweeps.api.parameters import only_known
from sweeps.api.problems import FAULT, MEDIA_TYPE, Problem, http_problem, invalid_problem, problem_of
from sweeps.api.telemetry import Telemetry, Timed
from sweeps.core.errors import MasksweepError
from sweeps.service import SweepService

_log = logging.getLogger("masksweep.api")

_DESCRIPTION = """Hyperparameter sweeps for Detectron2 instance segmentation.

Every request but `/healthz` and `/readyz` takes a token: `Authorization: Bearer TOKEN`. Errors are problem
documents (RFC 9457) that say what was got, what is allowed and what to do. Every POST that changes something
takes an `Idempotency-Key`: it can be sent again when the answer was lost. What a path has no operation for is
refused with 405 and `Allow`."""


def create_app(service: SweepService, config: ServiceConfig | None = None) -> FastAPI:
    """The application over a service.

    Args:
        service: On a store whose schema is up to date.
        config: How it behaves; by default no spec may name a file.
    """
    config = config or ServiceConfig()
    core = Core(service, config)
    telemetry = Telemetry(service, core.feed, config.monotonic)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        looking = asyncio.create_task(core.feed.run())
        try:
            yield
        finally:
            looking.cancel()

    app = FastAPI(
        title="masksweep",
        version=version("masksweep"),
        description=_DESCRIPTION,
        docs_url=None,  # its pages load scripts from elsewhere
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
        lifespan=lifespan,
        redirect_slashes=False,
        dependencies=[Depends(only_known)],
    )
    app.state.core, app.state.telemetry = core, telemetry
    for part in (
        routes_sweeps,
        routes_trials,
        routes_findings,
        routes_schedules,
        routes_champions,
        routes_notifications,
        routes_events,
        routes_catalog,
        routes_tokens,
        routes_health,
    ):
        app.include_router(part.router)
    app.add_exception_handler(MasksweepError, _on_masksweep_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_middleware(Guard, find=core.tokens.find, config=config)
    app.add_middleware(Timed, telemetry=telemetry, monotonic=config.monotonic)

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = describe(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI's documentation has it
    return app


async def _on_masksweep_error(request: Request, error: Exception) -> Response:
    document, headers = problem_of(cast(MasksweepError, error), request.url.path)
    if document.status >= FAULT.status:
        _log.error("%s %s: %s", request.method, request.url.path, error)
    return _answer(document, headers)


async def _on_invalid(request: Request, error: Exception) -> Response:
    operation = getattr(request.scope.get("route"), "path_format", ""), request.method
    hints = parameter_hints(request.app.openapi(), *operation)
    return _answer(invalid_problem(cast(RequestValidationError, error).errors(), request.url.path, hints))


async def _on_http_error(request: Request, error: Exception) -> Response:
    refused = cast(HTTPException, error)
    headers = dict(refused.headers or {})
    known = request.app.openapi()["paths"].get(getattr(request.scope.get("route"), "path_format", ""))
    if "Allow" in headers and known:  # the framework knows the methods of one route, and a path may have two
        headers["Allow"] = ", ".join(sorted(method.upper() for method in known))
    document = http_problem(refused.status_code, str(refused.detail), request.url.path, headers.get("Allow"))
    return _answer(document, headers)


def _answer(document: Problem, headers: Any = None) -> Response:
    return Response(
        document.model_dump_json(), document.status, headers=dict(headers or {}), media_type=MEDIA_TYPE
    )
