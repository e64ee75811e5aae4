"""The stores that contracts are held against: SQLite, and a real PostgreSQL."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from sweeps.service import SweepService
from sweeps.store.engine import open_engine
from sweeps.store.migrations import upgrade
from sweeps.testing import store_url
from tests.contract.nights import World


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


@pytest.fixture
def world(engine: sa.Engine, request: pytest.FixtureRequest) -> Iterator[World]:
    """A store with one service, on a Wednesday at noon."""
    world = World(engine, request.node.name.partition("[")[0].removeprefix("test_")[:60])
    world.at("2026-01-07 12:00")
    yield world
    for schedule in world.schedules.all():
        world.schedules.remove(schedule.name, by="ann", now=world.clock())
