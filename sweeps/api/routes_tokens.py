"""Tokens: handed out, listed and revoked by who has the scope `admin`."""

from typing import Annotated

from fastapi import APIRouter, Path
from starlette.responses import Response

from sweeps.api import documents, models
from sweeps.api.bodies import read_model
from sweeps.api.context import Admin, Body, Core, CoreHere, Made, OnceHere
from sweeps.api.describe import TOKEN_BODY
from sweeps.api.problems import NOT_FOUND, TAKEN, Refused
from sweeps.core.errors import UserError

router = APIRouter(prefix="/api/v1/tokens", tags=["tokens"])

Name = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._@-]{0,99}$", examples=["ann"])]


@router.get("", summary="List tokens")
def list_tokens(core: CoreHere, _: Admin) -> models.TokensOut:
    """Every token that was ever made, without its secret."""
    return models.TokensOut(tokens=[documents.token_out(token) for token in core.tokens.all()])


@router.post(
    "", status_code=201, response_model=models.IssuedOut, openapi_extra=TOKEN_BODY, summary="Make a token"
)
def create_token(core: CoreHere, admin: Admin, body: Body, once: OnceHere) -> Response:
    """Its text is in the answer and nowhere else: the same request under the same key is refused (409)."""
    wanted = read_model(models.NewToken, body)
    now = core.now
    once.begin_secret(f"token {wanted.name!r} was made under this key, and shown once")
    expires_at = None if wanted.days is None else now + wanted.days * 24 * 3600
    with once.secret():
        try:
            text, token = core.tokens.create(
                wanted.name, wanted.scope, by=admin.name, now=now, expires_at=expires_at
            )
        except UserError as error:
            raise _taken(core, wanted.name) or error from error
    issued = models.IssuedOut(token=text, about=documents.token_out(token))
    return Response(issued.model_dump_json(), 201, media_type="application/json")


def _taken(core: Core, name: str) -> Refused | None:
    """Says whose a name is, if it is; perhaps of who asks, whose answer was lost before it was remembered."""
    held = next((token for token in core.tokens.all() if token.name == name), None)
    if held is None:
        return None
    return Refused(
        TAKEN,
        f"there is a token {name!r} already, made by {held.created_by!r}; names stay taken",
        "take another name; if you made it and its text was lost, revoke it and make another under a new key",
    )


@router.post("/{name}/revoke", response_model=models.TokenOut, summary="Revoke a token")
def revoke_token(core: CoreHere, admin: Admin, name: Name, once: OnceHere) -> Response:
    """It is refused from now on; what it did stays in the audit."""

    def act() -> Made:
        try:
            return Made(documents.token_out(core.tokens.revoke(name, by=admin.name, now=core.now)))
        except UserError as error:
            raise Refused(NOT_FOUND, str(error), error.hint) from error

    return once(act)
