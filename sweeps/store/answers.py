"""What was answered under an idempotency key, so that asking again changes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from sweeps.core.errors import UserError
from sweeps.store import sql
from sweeps.store.engine import writing
from sweeps.store.tables import answers

KEPT_S = 7 * 24 * 3600.0
"""Seconds for which an answer is remembered."""


class KeyReused(UserError):
    """An idempotency key was used before, for another request."""


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer as it was given: its status, its body and its headers."""

    status: int
    body: str
    headers: Mapping[str, str]


class Answers:
    """The answers that a store remembers.

    Args:
        engine: Of a store whose schema is up to date.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def begin(self, by: str, key: str, digest: str, now: float) -> Answered | None:
        """The answer that was given under a key; None if there is none yet: then it may be worked out.

        Two who ask at once both work it out, so that doing it twice under one key must be as good as once.

        Args:
            by: Whose key.
            key: Chosen by who asks.
            digest: Of the request.
            now: Seconds since the Unix epoch.

        Raises:
            KeyReused: The key belongs to a request with another digest.
        """
        with writing(self._engine) as connection:
            connection.execute(sa.delete(answers).where(answers.c.at < now - KEPT_S))
            sql.add_new(connection, answers, {"by": by, "key": key, "digest": digest, "at": now})
            query = sa.select(answers).where(answers.c.by == by, answers.c.key == key)
            row = connection.execute(query).mappings().one()
        if row["digest"] != digest:
            raise KeyReused(
                f"the idempotency key {key!r} was used for another request", "a new request takes a new key"
            )
        if row["status"] is None:
            return None
        return Answered(row["status"], row["body"], row["headers"])

    def end(self, by: str, key: str, answer: Answered) -> None:
        """Remembers an answer; the first one stays."""
        waiting = sa.update(answers).where(
            answers.c.by == by, answers.c.key == key, answers.c.status.is_(None)
        )
        values = {"status": answer.status, "body": answer.body, "headers": dict(answer.headers)}
        with writing(self._engine) as connection:
            connection.execute(waiting, values)

    def forget(self, by: str, key: str) -> None:
        """Frees a key under which nothing was done: the request was refused."""
        unanswered = sa.delete(answers).where(
            answers.c.by == by, answers.c.key == key, answers.c.status.is_(None)
        )
        with writing(self._engine) as connection:
            connection.execute(unanswered)
