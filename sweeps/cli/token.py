"""`masksweep token`: who may use the service. Works on the store itself, or through `--server`."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer
from rich.table import Table

from sweeps.cli.options import HomeOption, JsonOption
from sweeps.cli.output import data, minute, print_json, words
from sweeps.cli.where import service_client
from sweeps.core.scopes import Scope
from sweeps.invocation import caller
from sweeps.records import Token
from sweeps.settings import Settings

if TYPE_CHECKING:
    from sweeps.store.tokens import Tokens

DAY_S = 24 * 3600.0

app = typer.Typer(help="Tokens of the service.", no_args_is_help=True)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Whose it is; what it does is told under this name.")],
    scope: Annotated[
        Scope, typer.Option(help="What it allows; each also what those before it do.")
    ] = Scope.VIEWER,
    days: Annotated[float, typer.Option(min=0, max=3660, help="Days until it expires; 0: it does not.")] = 90,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a token; it is printed once and kept nowhere."""
    client = service_client(home, if_named=True)
    if client is not None:
        answer = client.post("/tokens", {"name": name, "scope": scope, "days": days or None})
        _print_issued(answer["token"], _token(answer["about"]), as_json=as_json)
        return
    tokens, now = _tokens(home, create=True), time.time()
    expires_at = now + days * DAY_S if days else None
    text, token = tokens.create(name, scope, by=caller(), now=now, expires_at=expires_at)
    _print_issued(text, token, as_json=as_json)


def _print_issued(text: str, token: Token, *, as_json: bool) -> None:
    if as_json:
        print_json({"token": text, **asdict(token)})
        return
    data.print(text, markup=False, soft_wrap=True)
    until = f"until {minute(token.expires_at)}" if token.expires_at else "until it is revoked"
    words.print(f"{token.scope} {token.name!r}, {until}; it is not shown again", markup=False)
    words.print("\nhint: export MASKSWEEP_TOKEN=... and MASKSWEEP_SERVER=http://...", markup=False)


@app.command()
def ls(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """List the tokens that were ever made."""
    client = service_client(home, if_named=True)
    if client is not None:
        tokens = [_token(row) for row in client.get("/tokens")["tokens"]]
    else:
        tokens = _tokens(home).all()
    if as_json:
        print_json({"tokens": [asdict(token) for token in tokens]})
    elif tokens:
        data.print(_table(tokens, time.time()))
    else:
        words.print("no tokens yet")


def _table(tokens: Sequence[Token], now: float) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("name", "scope", "created", "by", "expires", "state"):
        table.add_column(column)
    for token in tokens:
        state = "revoked" if token.revoked_at else "valid" if token.usable(now) else "expired"
        expires = minute(token.expires_at) if token.expires_at else "never"
        table.add_row(token.name, token.scope, minute(token.created_at), token.created_by, expires, state)
    return table


@app.command()
def revoke(
    name: Annotated[str, typer.Argument(help="Its name.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Refuse a token from now on."""
    client = service_client(home, if_named=True)
    if client is not None:
        token = _token(client.post(f"/tokens/{quote(name, safe='')}/revoke"))
    else:
        token = _tokens(home).revoke(name, by=caller(), now=time.time())
    if as_json:
        print_json(asdict(token))
    else:
        words.print(f"token {name!r} is revoked", markup=False)


def _tokens(home: Path | None, *, create: bool = False) -> "Tokens":
    from sweeps.bootstrap import open_service  # noqa: PLC0415 - imports SQLAlchemy
    from sweeps.store.tokens import Tokens  # noqa: PLC0415

    settings = Settings.load(home)
    return Tokens(open_service(settings, create=create).engine)


def _token(document: Mapping[str, Any]) -> Token:
    return Token(**{**document, "scope": Scope(document["scope"])})
