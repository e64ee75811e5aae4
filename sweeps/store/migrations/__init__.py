"""The store's schema, step by step; the tables of `sweeps.store.tables` are where the last step ends.

A new step is a module in `versions/` after the pattern of `script.py.mako`, and its revision becomes HEAD.
Steps that were released are never changed.
"""

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from sweeps.core.errors import UserError
from sweeps.store.engine import reading, writing

HEAD = "0018"
"""The newest step, named here so that a store which is up to date is known as such without Alembic."""

_LOCK = 7_300_517_001
"""An arbitrary number, by which the processes that upgrade one PostgreSQL store wait for each other."""


def upgrade(engine: Engine) -> None:
    """Brings a store to this program's schema, from nothing or from any older one, in one transaction.

    Some milliseconds if there is nothing to do. Processes that do it at once wait for each other.

    Raises:
        UserError: The store was made by a newer program, or cannot be reached.
    """
    try:
        with reading(engine) as connection:
            if _version(connection) == HEAD:
                return
        with writing(engine) as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
            if _version(connection) != HEAD:
                _run(connection)
    except sa.exc.DBAPIError as error:
        where = engine.url.render_as_string(hide_password=True)
        raise UserError(f"the store {where} cannot be opened: {error.orig}") from error


def _version(connection: Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()


def _run(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415  (a third of a second, and only when there is work)
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", "sweeps.store:migrations")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise UserError(
            f"the store is at version {_version(connection)}, and this program knows {HEAD} as the newest",
            "upgrade masksweep, or use another home",
        ) from error
