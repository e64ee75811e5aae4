"""Tokens of the service: made, found, listed, revoked. The store knows a digest of each, never the token.

Events tell who made and revoked which, without anything of its text.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy.engine import Engine, RowMapping

from sweeps.core.errors import UserError
from sweeps.core.scopes import Scope
from sweeps.records import Token
from sweeps.store import sql
from sweeps.store.engine import reading, writing
from sweeps.store.tables import tokens

RESERVED = "masksweep-"
"""What names of tokens may not begin with: events tell of the service's own parts under such ones."""

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._@-]{0,98}[A-Za-z0-9._@-])?")
_TOKEN = re.compile(r"msk_([a-z0-9]{12})_([A-Za-z0-9_-]{43})")
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


class Tokens:
    """The tokens of a store.

    Args:
        engine: Of a store whose schema is up to date.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def create(
        self, name: str, scope: Scope, *, by: str, now: float, expires_at: float | None = None
    ) -> tuple[str, Token]:
        """A new token and its row; the text is to be had here and never again.

        Raises:
            UserError: The name is not allowed or taken, or the token would be expired already.
        """
        if _NAME.fullmatch(name) is None:
            needs = "1 to 100 letters, digits, dots, @, _ and -, with spaces between them"
            raise UserError(f"got the name {name[:40]!r}, but needs {needs}")
        if name.lower().startswith(RESERVED):
            hint = "take a name that says whose it is, such as ann"
            raise UserError(f"got the name {name!r}, but {RESERVED}* is what the service itself does", hint)
        if expires_at is not None and expires_at <= now:
            raise UserError(f"token {name!r} would have expired already", "give it a time to come")
        token_id = "".join(secrets.choice(_LETTERS) for _ in range(12))
        secret = secrets.token_urlsafe(32)  # 256 bits: a plain digest cannot be searched through
        row = {
            "token_id": token_id,
            "name": name,
            "digest": _digest(secret),
            "scope": scope.value,
            "created_by": by,
            "created_at": now,
            "expires_at": expires_at,
        }
        try:
            with writing(self._engine) as connection:
                connection.execute(sa.insert(tokens), row)
                told = {"name": name, "scope": scope.value, "expires_at": expires_at}
                sql.add_service_event(connection, "token.created", now, told, by=by)
        except sa.exc.IntegrityError as error:
            raise UserError(
                f"there is a token {name!r} already", "names stay taken: they stand in events"
            ) from error
        token = Token(token_id, name, scope, by, now, expires_at, None, None)
        return f"msk_{token_id}_{secret}", token

    def find(self, text: str, now: float) -> Token | None:
        """The token that is that text; None if there is none, or it has expired or was revoked.

        How long it takes does not tell how much of a wrong text is right.
        """
        match = _TOKEN.fullmatch(text)
        if match is None:
            return None
        query = sa.select(tokens).where(tokens.c.token_id == match[1])
        with reading(self._engine) as connection:
            row = connection.execute(query).mappings().one_or_none()
        known = row["digest"] if row is not None else _digest("")
        same = hmac.compare_digest(known, _digest(match[2]))
        if row is None or not same:
            return None
        token = _token(row)
        return token if token.usable(now) else None

    def revoked(self, token_ids: Collection[str]) -> frozenset[str]:
        """Which of some tokens were revoked."""
        query = sa.select(tokens.c.token_id).where(
            tokens.c.token_id.in_(token_ids), tokens.c.revoked_at.is_not(None)
        )
        with reading(self._engine) as connection:
            return frozenset(connection.execute(query).scalars())

    def all(self) -> list[Token]:
        """Every token that was ever made, oldest first."""
        query = sa.select(tokens).order_by(tokens.c.created_at, tokens.c.token_id)
        with reading(self._engine) as connection:
            return [_token(row) for row in connection.execute(query).mappings()]

    def revoke(self, name: str, *, by: str, now: float) -> Token:
        """The token, which is refused from now on. Revoking it again changes nothing.

        Raises:
            UserError: There is no token of that name.
        """
        with writing(self._engine) as connection:
            open_one = sa.update(tokens).where(tokens.c.name == name, tokens.c.revoked_at.is_(None))
            if connection.execute(open_one, {"revoked_by": by, "revoked_at": now}).rowcount == 1:
                sql.add_service_event(connection, "token.revoked", now, {"name": name}, by=by)
            row = connection.execute(sa.select(tokens).where(tokens.c.name == name)).mappings().one_or_none()
        if row is None:
            raise UserError(f"there is no token {name!r}", "masksweep token ls lists them")
        return _token(row)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _token(row: RowMapping) -> Token:
    return Token(
        token_id=row["token_id"],
        name=row["name"],
        scope=Scope(row["scope"]),
        created_by=row["created_by"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        revoked_by=row["revoked_by"],
        revoked_at=row["revoked_at"],
    )
