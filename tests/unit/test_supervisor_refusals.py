"""Starts that a launcher refuses: tried again after longer and longer waits, and people are told why."""

from itertools import pairwise

from sweeps.core.requests import RequestKind
from sweeps.core.supervision import LaunchState
from sweeps.launchers.launcher import LauncherUnavailable
from sweeps.store.control import SweepControl
from sweeps.store.launches import LaunchBook
from tests.property.test_supervision import Processes, World
from tests.unit.test_supervisor_notes import told

FULL = "no driver can be started: No space left on device"


class Refusing(Processes):
    """A launcher whose disk is full, as long as it is."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.full, self.asked_at, self._clock = True, list[float](), world.clock

    def start(self, sweep_id: str, number: int) -> str:
        self.asked_at.append(self._clock())
        if self.full:
            raise LauncherUnavailable(FULL)
        return super().start(sweep_id, number)


class FullWorld(World):
    """A store with a sweep, and a supervisor that cannot start a process."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.processes = Refusing(self)
        self.supervisors = [self.supervisor()]
        self.book = LaunchBook(self.service.engine, "test", 0.0)

    def tick_for(self, seconds: float) -> None:
        for _ in range(int(seconds)):
            self.clock.tick(1.0)
            self.tick(0)


def test_refused_starts_are_tried_again_after_longer_and_longer_waits(tmp_path):
    """As dead drivers are; the sweep does not fail of it, since nothing is wrong with it."""
    world = FullWorld(f"sqlite:///{tmp_path}/store.db")
    world.tick_for(1200)
    at = world.processes.asked_at
    waits = [round(later - earlier) for earlier, later in pairwise(at)]
    assert waits[:5] == [40, 50, 70, 110, 190]  # 30 s for a process that may still come, then 10, 20, 40, ...
    assert world.service.sweep(world.sweep_id).state.terminal is False
    (dropped, *_) = [each for each in world.service.events(world.sweep_id) if each.kind == "driver.dropped"]
    assert dropped.data == {"launch": 1, "reason": FULL, "refused": 1, "retry_at": dropped.at + 10.0}
    world.service.engine.dispose()


def test_people_are_told_why_no_driver_starts_until_one_does(tmp_path):
    """By a note in `ls`, `show` and the API; events tell when it came and went."""
    world = FullWorld(f"sqlite:///{tmp_path}/store.db")
    world.tick_for(2)
    note = f"its start was refused, and is tried again: {FULL}"
    assert world.service.notes() == {world.sweep_id: note}
    world.tick_for(70)
    assert world.service.notes() == {world.sweep_id: note.replace("refused", "refused 2 times in a row")}
    world.processes.full = False
    world.tick_for(70)
    assert world.service.notes() == {}
    assert told(world, world.sweep_id) == [note, None]
    launch = world.book.launch(world.sweep_id)
    assert (launch.state, launch.refused) == (LaunchState.RUNNING, 0)
    world.service.engine.dispose()


def test_who_resumes_a_sweep_has_it_tried_at_once(tmp_path):
    """The disk was tidied: nobody has to wait for the next try."""
    world = FullWorld(f"sqlite:///{tmp_path}/store.db")
    world.tick(0)
    world.service.claim(world.sweep_id, world.clock())  # it was run by hand before, by who has died
    world.tick_for(300)
    control = SweepControl(world.service.engine, is_dead=lambda _: True)
    control.ask(world.sweep_id, RequestKind.PAUSE, by="ann", now=world.clock())
    world.tick_for(61)
    assert world.service.notes() == {}, "a person paused it: it is not tried"
    world.processes.full = False
    control.resume(world.sweep_id, by="ann", now=world.clock())
    world.tick_for(2)
    assert list(world.processes.living.values()) == [True]
    world.service.engine.dispose()
