"""The client of a masksweep service: what commands with `--server` talk through."""

import json
import re
import ssl
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx2

from search_spaces.issues import SpecIssue
from sweeps.core.errors import SpecInvalid, UserError

TIMEOUT_S = 30.0
TRIES = 3
_AGAIN = frozenset({429, 502, 503, 504})
_FULL_S = 10.0
"""Until a service that has no room for an event stream is asked for one again."""
_HEADER = re.compile(r"[!-~]{1,200}")
_NO_SERVICE = "--server or MASKSWEEP_SERVER names one"
_NO_TOKEN = "masksweep token create NAME makes one where the service runs; set MASKSWEEP_TOKEN to it"


class ServiceUnavailable(UserError):
    """The service cannot be reached, or does not answer now."""


class Client:
    """A service at a URL.

    Args:
        url: Such as `https://sweeps.example.org`.
        token: Who asks; None sends none.
        wait: Called with the seconds between two tries.
    """

    def __init__(self, url: str, token: str | None, wait: Callable[[float], object] = time.sleep) -> None:
        self.url, self._wait = url.rstrip("/"), wait
        headers = {"Accept": "application/json"}
        if not self.url.startswith(("http://", "https://")):
            raise UserError(f"{url!r} is no URL of a service", "http://HOST:8757")
        if token and (token := token.strip()):
            if not _HEADER.fullmatch(token):  # which is not shown: it is a secret all the same
                raise UserError("MASKSWEEP_TOKEN holds what no token has: a space, or no ASCII", _NO_TOKEN)
            headers["Authorization"] = f"Bearer {token}"
        try:
            self._http = httpx2.Client(base_url=self.url, headers=headers, timeout=TIMEOUT_S)
        except (httpx2.InvalidURL, ValueError, ssl.SSLError) as error:
            raise UserError(f"{url!r} is no URL of a service: {error}", "http://HOST:8757") from error

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        """A document.

        Raises:
            UserError: The service refuses, in its own words, or cannot be reached.
        """
        given = {name: value for name, value in params.items() if value is not None}
        return self._document(lambda: self._http.get(f"/api/v1{path}", params=given))

    def pages(self, path: str, name: str, **params: Any) -> Iterator[dict[str, Any]]:
        """All items of a list."""
        for document in self.documents(path, **params):
            yield from document[name]

    def documents(self, path: str, **params: Any) -> Iterator[dict[str, Any]]:
        """All pages of a list."""
        cursor = None
        while True:
            document = self.get(path, cursor=cursor, **params)
            yield document
            cursor = document["next"]
            if cursor is None:
                return

    def post(
        self,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        text: str | None = None,
        key: str | None = None,
        params: Mapping[str, Any] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> dict[str, Any]:
        """Asks for a change, once, however often it has to be sent.

        Args:
            path: Under /api/v1.
            body: Sent as JSON,
            text: or as YAML.
            key: The idempotency key; by default one of its own.
            params: Of the query.
            timeout_s: Seconds without an answer after which it is sent again.

        Raises:
            SpecInvalid: With every problem of what was sent.
            UserError: The service refuses, in its own words, or cannot be reached.
        """
        if key is not None and not _HEADER.fullmatch(key):
            wanted = "1 to 200 characters of printable ASCII without spaces"
            raise UserError(f"got the key {key!r}, but needs {wanted}")
        headers = {"Idempotency-Key": key or str(uuid.uuid4())}
        content = json.dumps(body or {}) if text is None else text
        headers["Content-Type"] = "application/json" if text is None else "application/yaml"
        url = f"/api/v1{path}"
        return self._document(
            lambda: self._http.post(
                url, content=content.encode(), headers=headers, params=params, timeout=timeout_s
            )
        )

    def follow(self, path: str, after: int) -> Iterator[dict[str, Any]]:
        """Events as they happen, behind the one with that id; goes on where it was cut off.

        Raises:
            UserError: The service refuses, in its own words; one that was heard of is waited for.
        """
        last, heard = after, False
        while True:
            try:
                for event in self._stream(path, last):
                    heard = True
                    if event is not None:
                        last = event["event_id"]
                        yield event
            except httpx2.TransportError:
                pass
            except ServiceUnavailable:
                if not heard:
                    raise
                self._wait(_FULL_S)
            self._wait(1.0)

    def _stream(self, path: str, last: int) -> Iterator[dict[str, Any] | None]:
        """None once the service has taken the request, then events until the stream is cut off."""
        headers = {"Last-Event-ID": str(last), "Accept": "text/event-stream"}
        url = f"/api/v1{path}"
        with self._http.stream("GET", url, headers=headers, timeout=60.0) as answer:
            if answer.status_code != 200:
                answer.read()
                raise self._refusal(answer)
            yield None
            for line in answer.iter_lines():
                if line.startswith("data: "):
                    yield json.loads(line.removeprefix("data: "))

    def _document(self, send: Callable[[], httpx2.Response]) -> dict[str, Any]:
        answer = self._answered(send)
        if answer.is_success:
            try:
                document: dict[str, Any] = answer.json()
            except ValueError as error:
                raise UserError(
                    f"{self.url} is no masksweep service", "MASKSWEEP_SERVER names one"
                ) from error
            return document
        raise self._refusal(answer)

    def _answered(self, send: Callable[[], httpx2.Response]) -> httpx2.Response:
        """An answer; what may pass is tried again, which the idempotency key makes safe."""
        for left in reversed(range(TRIES)):
            try:
                answer = send()
            except httpx2.TransportError as error:
                if not left:
                    hint = "is it running? masksweep serve starts it"
                    raise ServiceUnavailable(f"{self.url} does not answer: {error}", hint) from error
                self._wait(1.0)
                continue
            if answer.status_code not in _AGAIN or not left:
                return answer
            self._wait(_seconds(answer))
        raise AssertionError("the last try returns or raises")

    def _refusal(self, answer: httpx2.Response) -> UserError:
        try:
            problem = answer.json()
            detail, hint, issues = problem["detail"], problem.get("hint"), problem.get("issues") or []
        except (ValueError, KeyError, TypeError):
            return UserError(
                f"{self.url} answered {answer.status_code}: is it a masksweep service?",
                _NO_SERVICE,
            )
        if issues:
            return SpecInvalid(
                [SpecIssue(each["path"], each["problem"], each.get("hint")) for each in issues]
            )
        if answer.status_code == 401:
            return UserError(detail, _NO_TOKEN)
        if answer.status_code in _AGAIN:
            return ServiceUnavailable(detail, hint)
        return UserError(detail, hint)


def _seconds(answer: httpx2.Response) -> float:
    text = answer.headers.get("Retry-After", "1")
    return min(float(text), 30.0) if text.isdigit() else 1.0
