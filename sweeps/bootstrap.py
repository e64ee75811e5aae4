"""Puts the parts together for a home directory."""

from sweeps.core.errors import UserError
from sweeps.service import SweepService
from sweeps.settings import Settings
from sweeps.store.engine import open_engine
from sweeps.store.migrations import upgrade


def open_service(settings: Settings, *, create: bool = False) -> SweepService:
    """The service on a home's store.

    Args:
        settings: Where the store is.
        create: Make the home if there is none; else a home without a store is an error.

    Raises:
        UserError: There is no store, or it cannot be opened.
    """
    if create:
        try:
            settings.home.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"the home {settings.home} cannot be made: {error.strerror}") from error
    elif not settings.has_store:
        raise UserError(
            f"nothing has been run in {settings.home}", "name another home with --home or MASKSWEEP_HOME"
        )
    engine = open_engine(settings.store_url)
    upgrade(engine)
    return SweepService(engine)
