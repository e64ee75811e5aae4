"""What every request passes before the routes see it: size, token, rate; and headers on every answer."""

import asyncio
import logging
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sweeps.api.config import ServiceConfig
from sweeps.api.problems import (
    MEDIA_TYPE,
    TOO_LARGE,
    TOO_MANY,
    TOO_SLOW,
    UNAUTHORIZED,
    Refused,
    fault_problem,
    problem_of,
)
from sweeps.api.rates import Accepted, Rates
from sweeps.core.errors import MasksweepError
from sweeps.records import Token

_log = logging.getLogger(__name__)

OPEN_PATHS = frozenset({"/healthz", "/readyz"})
"""What takes no token."""

FINDERS = 8
"""Threads that look for tokens."""

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_HTTPS = {"Strict-Transport-Security": "max-age=31536000"}


class Guard:
    """An ASGI application around another one.

    Args:
        app: What requests reach that pass.
        find: The token of a text at a moment, or None; it may wait for the store.
        config: The limits, and the clock.
    """

    def __init__(
        self, app: ASGIApp, find: Callable[[str, float], Token | None], config: ServiceConfig
    ) -> None:
        limits = config.limits
        self._app, self._find, self._config = app, find, config
        self._known = Rates(limits.requests_per_s, limits.burst, config.monotonic)
        self._unknown = Rates(limits.requests_per_s / 10, max(1, limits.burst // 10), config.monotonic)
        self._accepted = Accepted()
        self._finders = ThreadPoolExecutor(FINDERS, "finder")
        self._headers = {**_HEADERS, **(_HTTPS if config.https else {})}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        begun = False

        async def send_guarded(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._pass_on(scope, receive, send_guarded)
        except Exception as error:
            # Here and not at Starlette's outermost, so that it is measured and has the headers of any answer.
            _log.error("%s %s failed", scope["method"], scope["path"], exc_info=error)
            if begun:
                raise
            await _fault(scope["path"])(scope, receive, send_guarded)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers what may not pass, and leaves the rest to the application."""
        limits = self._config.limits
        body = _Body(receive, limits.body_bytes, limits.body_s)
        try:
            await self._admit(scope)
            await body.check(Headers(scope=scope))
        except MasksweepError as error:
            await _refusal(error, scope["path"])(scope, receive, send)
            return
        await self._app(scope, body.receive, send)

    async def _admit(self, scope: Scope) -> None:
        """Finds whose request it is, and whether there is room for it.

        Raises:
            Refused: It has no valid token, or there were too many.
        """
        client = scope.get("client")
        address = client[0] if client else "?"
        if scope["path"] in OPEN_PATHS:
            self._refuse(self._unknown.take(f"open {address}"))
            return
        scheme, _, text = Headers(scope=scope).get("authorization", "").partition(" ")
        text = text.strip() if scheme.lower() == "bearer" else ""
        known = text in self._accepted
        if not known:
            self._refuse(self._unknown.take(address))  # a guess too many does not reach the store
        token = await self._found(text) if text else None
        if token is None:
            self._accepted.discard(text)
            if known:  # until it was revoked, or expired
                self._refuse(self._unknown.take(address))
            hint = "send `Authorization: Bearer TOKEN`; masksweep token create makes one"
            message = "the token is not valid, or not any more" if text else "this needs a token"
            raise Refused(UNAUTHORIZED, message, hint, headers={"WWW-Authenticate": "Bearer"})
        self._accepted.add(text)
        if not known:
            self._unknown.give_back(address)
        self._refuse(self._known.take(token.token_id))
        state: dict[str, Any] = scope.setdefault("state", {})
        state["token"] = token

    async def _found(self, text: str) -> Token | None:
        """The token, by threads of its own: the others wait for MLflow, or for a large data set."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._finders, self._find, text, self._config.clock())

    def _refuse(self, waits: float) -> None:
        """Says how many seconds to wait, if there are any."""
        if waits > 0:
            seconds = str(max(1, math.ceil(waits)))
            raise Refused(
                TOO_MANY,
                "more requests than one client may make",
                f"wait {seconds} s",
                headers={"Retry-After": seconds},
            )


class _Body:
    """A request's body, read before anything acts on it, and no longer than it may be."""

    def __init__(self, receive: Receive, most: int, seconds: float) -> None:
        self._receive, self._most, self._seconds = receive, most, seconds
        self._messages = list[Message]()

    async def check(self, headers: Headers) -> None:
        """Reads it.

        Raises:
            Refused: It is too long, as it says or as it turns out, or does not come to its end in time.
        """
        told = headers.get("content-length", "0")
        if not told.isdigit() or len(told) > 18 or int(told) > self._most:
            raise self._too_large()
        if told == "0" and "transfer-encoding" not in headers:
            return
        try:
            async with asyncio.timeout(self._seconds):
                await self._read()
        except TimeoutError:
            # The rest would be taken for the next request.
            raise Refused(
                TOO_SLOW,
                f"the body was not there after {self._seconds:g} s",
                "send it again at once",
                headers={"Connection": "close"},
            ) from None

    async def _read(self) -> None:
        size, more = 0, True
        while more:
            message = await self._receive()
            self._messages.append(message)
            size += len(message.get("body", b""))
            more = message["type"] == "http.request" and message.get("more_body", False)
            if size > self._most:
                raise self._too_large()

    async def receive(self) -> Message:
        """What was read, then whatever comes."""
        return self._messages.pop(0) if self._messages else await self._receive()

    def _too_large(self) -> Refused:
        return Refused(TOO_LARGE, f"more than {self._most} bytes", "a spec is a few kilobytes of text")


def _fault(path: str) -> Response:
    document = fault_problem(path)
    return Response(document.model_dump_json(), document.status, media_type=MEDIA_TYPE)


def _refusal(error: MasksweepError, path: str) -> Response:
    document, headers = problem_of(error, path)
    return Response(document.model_dump_json(), document.status, headers=dict(headers), media_type=MEDIA_TYPE)
