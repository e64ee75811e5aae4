"""What is wrong with one sweep's process keeps no other sweep from being looked after."""

import json

import pytest
import sqlalchemy as sa

from sweeps.core.spec import spec_document
from sweeps.core.states import SweepState
from sweeps.core.supervision import LaunchState, Rules
from sweeps.launchers.local import LocalLauncher
from sweeps.settings import Settings
from sweeps.store.engine import writing
from sweeps.store.launches import LaunchBook
from sweeps.store.submissions import Rank
from sweeps.store.tables import sweeps
from sweeps.testing import make_spec
from tests.property.test_supervision import World


@pytest.mark.parametrize("handle", ["ray|masksweep-parts-a2b3c4-1", "", "a|b|c|d|e"])
def test_a_handle_of_another_launcher_is_nobody_that_can_be_asked(tmp_path, handle):
    """As after a service was given another launcher: it is not known whether its process lives."""
    launcher = LocalLauncher(Settings.load(tmp_path, environ={}))
    assert launcher.alive(handle) is None
    launcher.stop(handle, force=True)
    assert launcher.output(handle) == ""


@pytest.mark.parametrize("what", ["start", "alive"])
def test_a_launcher_that_fails_ends_no_look_at_the_sweeps(tmp_path, monkeypatch, what):
    """Each later look tries again; the driver comes once it can be started, and stays while nobody knows."""
    world = World(f"sqlite:///{tmp_path}/store.db")
    (supervisor, _), book = world.supervisors, LaunchBook(world.service.engine, "test", 0.0)
    if what == "alive":
        supervisor.tick()
    with monkeypatch.context() as broken:
        broken.setattr(world.processes, what, lambda *_: 1 / 0)
        for _ in range(3):
            world.clock.tick(1.0)
            assert supervisor.tick() is True
    if what == "start":
        world.clock.tick(3600.0)
        for _ in range(3):
            world.clock.tick(Rules().first_retry_s)
            supervisor.tick()
    assert book.launch(world.sweep_id).state is LaunchState.RUNNING
    world.service.engine.dispose()


def test_a_sweep_whose_spec_cannot_be_read_is_left_alone(tmp_path, caplog):
    """As one of a newer version: the log has it once, others are driven, and so is it once it can be read."""
    world = World(f"sqlite:///{tmp_path}/store.db")
    (supervisor, _), book = world.supervisors, LaunchBook(world.service.engine, "test", 0.0)
    other = world.service.create(make_spec(), fingerprint="", now=world.clock(), rank=Rank()).sweep_id

    def rewrite(**more) -> None:
        spec = json.dumps(json.loads(spec_document(make_spec())) | more)
        mine = sweeps.c.sweep_id == world.sweep_id
        with writing(world.service.engine) as connection:
            connection.execute(sa.update(sweeps).where(mine).values(spec=spec))

    rewrite(of_a_newer_version=1)
    for _ in range(3):
        world.clock.tick(1.0)
        assert supervisor.tick() is True
    assert book.launch(other).state is LaunchState.RUNNING
    assert book.launch(world.sweep_id).state is LaunchState.WAITING
    (told,) = [each for each in caplog.messages if world.sweep_id in each]
    assert told.startswith(f"sweep {world.sweep_id} is passed over, its row cannot be read: ")
    assert "of_a_newer_version" in told
    claim = world.service.claim(other, world.clock())
    world.service.finish(claim, SweepState.COMPLETED, None, world.clock())
    world.processes.living.clear()
    rewrite()
    for _ in range(2):
        world.clock.tick(1.0)
        supervisor.tick()
    assert book.launch(world.sweep_id).number == 1
    world.service.engine.dispose()
