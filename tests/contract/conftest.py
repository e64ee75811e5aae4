"""The stores that contracts are held against: SQLite, and a real PostgreSQL."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from sweeps.service import SweepService
from sweeps.store.engine import open_engine
from sweeps.store.migrations import upgrade
from sweeps.testing import store_url


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[sa.Engine]:
    """An empty store of the module's own."""
    name = request.module.__name__.rpartition(".")[2].removeprefix("test_")
    engine = open_engine(store_url(request.param, tmp_path_factory.mktemp("store"), name))
    upgrade(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def service(engine: sa.Engine) -> SweepService:
    """The service on that store."""
    return SweepService(engine)
