"""What is wrong with one sweep's process keeps no other sweep from being looked after."""

import pytest

from sweeps.core.supervision import LaunchState, Rules
from sweeps.launchers.local import LocalLauncher
from sweeps.settings import Settings
from sweeps.store.launches import LaunchBook
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
