"""What routes are given: the service, who asks, and under which conditions."""

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

from fastapi import Depends, Header, Path, Request
from pydantic import BaseModel
from starlette.responses import Response

from sweeps.api.bodies import Sent
from sweeps.api.config import ServiceConfig
from sweeps.api.documents import etag
from sweeps.api.feed import Feed
from sweeps.api.problems import ALREADY, FORBIDDEN, PRECONDITION, Refused
from sweeps.core.errors import StoreUnavailable, UserError
from sweeps.core.scopes import Scope
from sweeps.records import SweepRecord, Token
from sweeps.service import SweepService
from sweeps.store.answers import Answered, Answers
from sweeps.store.control import Check, SweepControl
from sweeps.store.gaps import Gaps
from sweeps.store.listing import Listing
from sweeps.store.tokens import Tokens


class Core:
    """What all requests share.

    Args:
        service: On the store.
        config: How the service behaves.
    """

    def __init__(self, service: SweepService, config: ServiceConfig) -> None:
        self.service, self.config = service, config
        self.listing = Listing(service.engine)
        self.tokens = Tokens(service.engine)
        self.gaps = Gaps(self.listing, config.clock, config.monotonic)
        self.feed = Feed(self.listing, self.gaps, self.tokens.revoked, config)
        self.control = SweepControl(service.engine)
        self.answers = Answers(service.engine)
        self.at_work = 0  # requests that wait for what is not the store
        self.mirroring = threading.Lock()  # MLflow's client keeps state that threads share

    @property
    def now(self) -> float:
        """Seconds since the Unix epoch."""
        return self.config.clock()


def _core(request: Request) -> Core:
    core: Core = request.app.state.core
    return core


CoreHere = Annotated[Core, Depends(_core)]


def _who(needed: Scope) -> Callable[[Request], Token]:
    def find(request: Request) -> Token:
        token: Token = request.state.token
        if not token.scope.allows(needed):
            raise Refused(
                FORBIDDEN,
                f"this needs the scope {needed}, and token {token.name!r} has {token.scope}",
                "ask whoever runs the service for another token",
            )
        return token

    return find


Viewer = Annotated[Token, Depends(_who(Scope.VIEWER))]
Operator = Annotated[Token, Depends(_who(Scope.OPERATOR))]
Admin = Annotated[Token, Depends(_who(Scope.ADMIN))]

SweepId = Annotated[
    str,
    Path(
        pattern=r"^[a-z0-9][a-z0-9-]{0,79}$",
        description="A sweep's id, or a beginning that only it has.",
        examples=["parts-nightly-a2b3c4"],
    ),
]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[\x21-\x7e]{1,200}$",
        description="Chosen by who asks; the same request under the same key is answered as before.",
        examples=["6f1c8b1e-2c7e-4a55-9a3e-0d7c2f4f8f10"],
    ),
]
_TAG_EXAMPLE = '"0123456789abcdef0123.456789abcdef01234567"'

IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        description="Only if the sweep's `ETag` is still this one.",
        examples=[_TAG_EXAMPLE],
    ),
]

IfNoneMatch = Annotated[
    str | None,
    Header(
        alias="If-None-Match",
        description="Nothing is sent, with 304, while the sweep's `ETag` is still this one.",
        examples=[_TAG_EXAMPLE],
    ),
]


async def _body(request: Request) -> Sent:
    return Sent(await request.body(), request.headers.get("content-type"))


Body = Annotated[Sent, Depends(_body)]


def _tags(header: str) -> list[str]:
    """The ETags that a header names, weak ones as strong."""
    return [tag.strip().removeprefix("W/") for tag in header.split(",")]


def seen_already(if_none_match: str | None, tag: str) -> bool:
    """Whether who asks has seen what an `ETag` names."""
    tags = _tags(if_none_match or "")
    return "*" in tags or tag in tags


def unchanged(if_match: str | None) -> Check:
    """A check that the state, epoch and budget of a sweep are as the `ETag` of who asks says."""
    # an empty header names no state: a script whose variable is empty must not act on any
    tags = _tags("*" if if_match is None else if_match)
    seen = {tag.strip('"').partition(".")[0] for tag in tags}

    def check(sweep: SweepRecord) -> None:
        if not any(tags):
            raise Refused(
                PRECONDITION,
                "If-Match is empty: it names no state of the sweep",
                "send the sweep's `ETag`, `*` for any state, or no If-Match",
                headers={"ETag": etag(sweep)},
            )
        if "*" not in seen and etag(sweep).strip('"') not in seen:
            raise Refused(
                PRECONDITION,
                f"sweep {sweep.sweep_id} is not as it was: it is {sweep.state}",
                "look at it again, then ask again",
                headers={"ETag": etag(sweep)},
            )

    return check


@dataclass(frozen=True, slots=True)
class Made:
    """An answer to a request that changed something."""

    document: BaseModel
    status: int = 200
    headers: Mapping[str, str] | None = None


class Once:
    """Does what a request asks for once, however often it is made under one key."""

    def __init__(self, request: Request, core: CoreHere, body: Body, key: Key = None) -> None:
        self._request, self._core, self._content, self.key = request, core, body.content, key

    @cached_property
    def by(self) -> str:
        """Whose request it is."""
        token: Token = self._request.state.token
        return token.name

    @property
    def scoped_key(self) -> str | None:
        """The key, told apart from the same one of somebody else."""
        return None if self.key is None else f"{self.by}\n{self.key}"

    def __call__(self, act: Callable[[], Made]) -> Response:
        """The answer: as it was given before, or what `act` makes now.

        `act` may be called again under the same key, and must do nothing a second time.
        """
        if self.key is None:
            return _response(_answered(act()))
        answers, now = self._core.answers, self._core.now
        before = answers.begin(self.by, self.key, self._digest(), now)
        if before is not None:
            return _response(before, replayed=True)
        try:
            answer = _answered(act())
        except StoreUnavailable:
            raise  # it may have been done
        except UserError:
            answers.forget(self.by, self.key)
            raise
        answers.end(self.by, self.key, answer)
        return _response(answer)

    def anew(self, act: Callable[[], Made]) -> Response:
        """The answer of what changes nothing: it is made each time, and not kept whatever the key."""
        return _response(_answered(act()))

    def begin_secret(self, made: str) -> None:
        """Begins what is answered with a secret, which is not remembered.

        Args:
            made: Says that it was made.

        Raises:
            Refused: It was, under this key.
        """
        if self.key is None:
            return
        if self._core.answers.begin(self.by, self.key, self._digest(), self._core.now) is not None:
            raise Refused(ALREADY, made, "revoke it and make another under a new key, if its text was lost")

    @contextmanager
    def secret(self) -> Iterator[None]:
        """Remembers that this was done, and not with what answer; frees the key if it was refused."""
        try:
            yield
        except StoreUnavailable:
            raise  # it may have been done
        except UserError:
            if self.key is not None:
                self._core.answers.forget(self.by, self.key)
            raise
        if self.key is not None:
            self._core.answers.end(self.by, self.key, Answered(int(ALREADY.status), "", {}))

    def _digest(self) -> str:
        url = self._request.url
        told = f"{self._request.method} {url.path}?{url.query} {self._request.headers.get('if-match', '')}\n"
        return hashlib.sha256(told.encode() + self._content).hexdigest()


OnceHere = Annotated[Once, Depends(Once)]


def _answered(made: Made) -> Answered:
    return Answered(made.status, made.document.model_dump_json(), dict(made.headers or {}))


def _response(answer: Answered, *, replayed: bool = False) -> Response:
    headers = {**answer.headers, **({"Idempotency-Replayed": "true"} if replayed else {})}
    return Response(answer.body, answer.status, headers=headers, media_type="application/json")
