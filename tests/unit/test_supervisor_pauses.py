"""What people ask of a sweep while its driver is on its way, or is gone."""

import pytest

from sweeps.core.errors import WrongState
from sweeps.core.requests import RequestKind, RequestState
from sweeps.core.states import SweepState
from sweeps.core.supervision import LaunchState
from sweeps.service import SweepService
from sweeps.store.control import SweepControl
from sweeps.store.launches import LaunchBook
from tests.property.test_supervision import World

PAUSE, CANCEL = RequestKind.PAUSE, RequestKind.CANCEL


class Asked(World):
    """A store with a sweep, of whose drivers nobody can tell from here whether they live."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.supervisors = [self.supervisor()]
        self.control = SweepControl(self.service.engine, is_dead=self.is_dead)
        self.book = LaunchBook(self.service.engine, "test", 0.0)
        self.alone = SweepService(self.service.engine, launched=True)

    def is_dead(self, _: object) -> bool:
        return False

    def ask(self, kind: RequestKind, by: str = "ann"):
        return self.control.ask(self.sweep_id, kind, by=by, now=self.clock())

    def paused_before(self) -> None:
        """The sweep ran by hand, and is PAUSED."""
        self.service.finish(
            self.service.claim(self.sweep_id, self.clock()), SweepState.PAUSED, "interrupted", self.clock()
        )

    def die(self) -> None:
        for handle in self.processes.living:
            self.processes.living[handle] = False

    def ticks(self, count: int, seconds: float = 1.0) -> None:
        for _ in range(count):
            self.clock.tick(seconds)
            self.tick(0)

    @property
    def state(self) -> SweepState:
        return self.service.sweep(self.sweep_id).state

    def requests(self):
        return {each.kind: each.state for each in self.service.requests(self.sweep_id)}


@pytest.fixture
def world(tmp_path):
    world = Asked(f"sqlite:///{tmp_path}/store.db")
    yield world
    world.service.engine.dispose()


@pytest.mark.parametrize("waited", [False, True])
def test_a_driver_that_was_on_its_way_does_not_get_a_sweep_that_was_paused(world, waited):
    """Whoever waits for the pause sees it done; its process ends, which is no death, and none follows."""
    world.paused_before()
    world.tick(0)
    request = world.ask(PAUSE).request
    if waited:
        world.control.look(request, world.clock())
    with pytest.raises(WrongState, match=f"sweep {world.sweep_id} was paused by ann"):
        world.alone.claim(world.sweep_id, world.clock())
    world.die()
    world.ticks(60, 10.0)
    launch = world.book.launch(world.sweep_id)
    assert (launch.state, launch.number, launch.failures) == (LaunchState.WAITING, 1, 0)
    assert (world.state, world.requests()) == (SweepState.PAUSED, {PAUSE: RequestState.DONE})
    world.control.resume(world.sweep_id, by="ann", now=world.clock())
    world.tick(0)
    assert world.alone.claim(world.sweep_id, world.clock())


def test_a_resumption_takes_back_a_pause_of_a_driver_on_its_way(world):
    """It claims the sweep, finds nothing that was asked, and goes on."""
    world.paused_before()
    world.tick(0)
    world.ask(PAUSE)
    world.control.resume(world.sweep_id, by="bob", now=world.clock())
    assert world.requests() == {PAUSE: RequestState.VOID}
    assert world.alone.claim(world.sweep_id, world.clock())
    world.ticks(3)
    assert (world.state, world.service.open_requests(world.sweep_id)) == (SweepState.RUNNING, [])


def test_no_driver_is_launched_for_a_sweep_that_was_paused_since_it_was_looked_at(world):
    """The supervisor had read that nobody holds it; who paused it was told that it is PAUSED already."""
    world.paused_before()
    launch = world.book.launch(world.sweep_id)
    world.ask(PAUSE)
    assert world.book.write_down(launch, world.clock()) is None
    assert world.book.launch(world.sweep_id) == launch


def test_a_cancellation_is_not_forgotten_for_a_pause_that_waits(world):
    """Both wait when their driver is found to be gone: whoever carries out the pause finds the other one."""
    world.service.claim(world.sweep_id, world.clock())
    paused, _ = world.ask(PAUSE).request, world.ask(CANCEL, "bob")
    world.clock.tick(100.0)
    world.control.look(paused, world.clock())
    assert (world.state, world.service.sweep(world.sweep_id).reason) == (
        SweepState.CANCELLED,
        "cancelled by bob",
    )
    assert world.requests() == {PAUSE: RequestState.VOID, CANCEL: RequestState.DONE}
    with pytest.raises(WrongState, match="it was CANCELLED before it could be PAUSED"):
        world.control.look(paused, world.clock())


def test_the_supervisor_carries_out_a_cancellation_before_a_pause(world):
    """Its driver died with both open."""
    world.tick(0)
    world.service.claim(world.sweep_id, world.clock())
    world.ask(PAUSE)
    world.ask(CANCEL)
    world.die()
    world.ticks(20, 10.0)
    assert world.state is SweepState.CANCELLED
    assert world.book.launch(world.sweep_id).state is LaunchState.ENDED


def test_a_sweep_that_comes_to_its_end_is_brought_there_whoever_has_paused_it(world):
    """Its driver died after the limit and before the pause: another one is launched, and ends it."""
    world.tick(0)
    claim = world.alone.claim(world.sweep_id, world.clock())
    request = world.ask(PAUSE).request
    world.service.finish(claim, SweepState.STOPPING, "budget of 20 trials used up", world.clock())
    world.die()
    world.ticks(30, 10.0)
    assert world.book.launch(world.sweep_id).number == 2
    assert world.control.look(request, world.clock()).sweep.state is SweepState.STOPPING
    claim = world.alone.claim(world.sweep_id, world.clock())
    world.service.finish(claim, SweepState.COMPLETED, "budget of 20 trials used up", world.clock())
    assert world.requests() == {PAUSE: RequestState.VOID}
