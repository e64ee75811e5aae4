"""A store that is locked or read-only, on a real SQLite file."""

import os
import sqlite3

import pytest

from sweeps.bootstrap import open_service
from sweeps.cli import run
from sweeps.cli.show import list_sweeps
from sweeps.core.errors import StoreUnavailable, UserError
from sweeps.patience import PATIENCE_S, Waiting
from sweeps.service import SweepService
from sweeps.settings import Settings
from sweeps.store.engine import open_engine, writing
from sweeps.store.migrations import upgrade
from sweeps.testing import FakeClock, make_spec


@pytest.fixture
def path(tmp_path):
    """A store's file."""
    path = tmp_path / "masksweep.db"
    upgrade(open_engine(f"sqlite:///{path}"))
    return path


@pytest.fixture
def engine(path):
    """One that does not wait by itself."""
    return open_engine(f"sqlite:///{path}", busy_s=0.0)


@pytest.fixture
def holder(path):
    """Another program, in the middle of a write."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    yield connection
    connection.close()


def create(service):
    return service.create(make_spec(), fingerprint="0" * 64, now=1.0)


def test_a_locked_store_is_the_users_to_mend(engine, path, holder):
    """It is one line that names the store, with a hint, and no traceback."""
    with pytest.raises(StoreUnavailable) as caught:
        create(SweepService(engine))
    assert str(caught.value) == f"the store sqlite:///{path} does not answer: database is locked"
    assert caught.value.hint == "another program holds it; try again once that is done"
    assert isinstance(caught.value, UserError)


def test_a_driver_waits_for_a_locked_store(engine, holder):
    """The write that could not begin is made once the lock is gone; waiting is told once."""
    notes, slept = [], []

    def sleep(seconds):
        slept.append(seconds)
        if len(slept) == 3:
            holder.execute("ROLLBACK")

    service = SweepService(engine, Waiting(FakeClock(), sleep, notes.append))
    sweep_id = create(service).sweep_id
    assert service.claim(sweep_id, 2.0).epoch == 1
    assert (len(slept), len(notes)) == (3, 1)
    assert notes[0].endswith("database is locked; trying again for 5 min")


def test_a_driver_does_not_wait_for_ever(engine, holder):
    """After some minutes the trouble is told."""
    clock = FakeClock(0.0)
    with pytest.raises(StoreUnavailable, match="database is locked"):
        create(SweepService(engine, Waiting(clock, clock.tick, lambda _: None)))
    assert PATIENCE_S <= clock.now <= PATIENCE_S + 5


def test_what_waiting_does_not_mend_is_told_at_once(tmp_path):
    """A store without its tables, or whose disk is full, is the same after five minutes."""
    engine = open_engine(f"sqlite:///{tmp_path}/empty.db")
    clock = FakeClock(0.0)
    with pytest.raises(StoreUnavailable, match="no such table"):
        create(SweepService(engine, Waiting(clock, clock.tick, lambda _: None)))
    with writing(engine) as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")
    with pytest.raises(StoreUnavailable, match="database or disk is full") as caught:
        upgrade(engine)
    assert (clock.now, caught.value.passing) == (0.0, False)
    assert caught.value.hint == "make room there, then go on"


def test_a_store_that_is_deleted_in_use_is_told_at_once(engine, path):
    """Nothing is written into a file that nobody will find, and no empty one takes its place."""
    clock = FakeClock(0.0)
    service = SweepService(engine, Waiting(clock, clock.tick, lambda _: None))
    sweep_id = create(service).sweep_id
    for each in path.parent.glob(f"{path.name}*"):
        each.rename(each.with_name(f"moved-{each.name}"))
    for use in (lambda: create(service), lambda: service.sweep(sweep_id)):
        with pytest.raises(StoreUnavailable) as caught:
            use()
        assert str(caught.value) == f"the store sqlite:///{path} does not answer: its file is gone"
        assert caught.value.hint == "put it back, from a copy if need be: what was committed is in it alone"
    assert (clock.now, path.exists()) == (0.0, False)


def test_a_store_that_another_file_took_the_place_of_is_read_from_there(engine, path):
    """A copy that was put back is what counts, not the file that a connection still holds."""
    service = SweepService(engine)
    sweep_id = create(service).sweep_id
    copy = path.with_name("copy")
    with sqlite3.connect(path) as source, sqlite3.connect(copy) as target:
        source.backup(target)
    create(service)
    for each in path.parent.glob(f"{path.name}*"):
        each.unlink()
    copy.rename(path)
    assert [sweep.sweep_id for sweep in service.sweeps()] == [sweep_id]


def test_a_read_only_home_can_be_read(tmp_path, monkeypatch, capsys):
    """`ls` writes nothing, not even the mode of the journal; a write is refused in one line."""
    settings = Settings.load(tmp_path, environ={})
    writer = open_service(settings, create=True)
    sweep_id = create(writer).sweep_id
    writer.engine.dispose()  # as the end of a process does, which leaves the file alone behind
    before = sorted(tmp_path.iterdir())
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)  # root may write anywhere
    service = open_service(settings)
    list_sweeps(service, as_json=True)
    assert sweep_id in capsys.readouterr().out
    with pytest.raises(StoreUnavailable, match="attempt to write a readonly database"):
        create(service)
    assert sorted(tmp_path.iterdir()) == before


class Refused:
    """A runner that cannot drive."""

    def drive(self, order):
        raise UserError("the disk is full", "make room")


def test_trouble_while_driving_says_how_to_go_on(tmp_path):
    """The sweep was created: the hint has the command that goes on with it, on the same cluster."""
    settings = Settings.load(tmp_path / "my home", environ={})
    service = open_service(settings, create=True)
    sweep_id = create(service).sweep_id
    with pytest.raises(UserError, match="the disk is full") as caught:
        run._drive(Refused(), service, settings, sweep_id, as_json=False, ray_address="head:6379")
    assert caught.value.hint.startswith("make room; the sweep is kept, go on with: ")
    assert f"resume {sweep_id} --ray-address head:6379 --home '{settings.home}'" in caught.value.hint
