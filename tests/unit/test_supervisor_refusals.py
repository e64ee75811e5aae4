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


class Lost(Processes):
    """A launcher that starts a process, and finds it, but never says so at once."""

    def start(self, sweep_id: str, number: int) -> str:
        super().start(sweep_id, number)
        raise LauncherUnavailable("the answer was lost")

    def find(self, sweep_id: str, number: int) -> str | None:
        handle = f"{sweep_id}|{number}"
        return handle if handle in self.living else None


class FullWorld(World):
    """A store with a sweep, and a supervisor that cannot start a process."""

    def __init__(self, url: str, launcher: type[Processes] | None = None) -> None:
        super().__init__(url)
        self.processes = launcher() if launcher else Refusing(self)
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
    assert waits[:5] == [10, 20, 40, 80, 160]
    assert world.service.sweep(world.sweep_id).state.terminal is False
    (dropped, *_) = [each for each in world.service.events(world.sweep_id) if each.kind == "driver.dropped"]
    assert dropped.data == {"launch": 1, "reason": FULL, "refused": 1, "retry_at": at[0] + 10.0}
    assert dropped.at == at[0] + 1.0, "by the next look"
    world.service.engine.dispose()


def test_people_are_told_why_no_driver_starts_until_one_does(tmp_path):
    """By a note in `ls`, `show` and the API; events tell when it came and went."""
    world = FullWorld(f"sqlite:///{tmp_path}/store.db")
    world.tick_for(2)
    note = f"its start was refused, and is tried again: {FULL}"
    assert world.service.notes() == {world.sweep_id: note}
    world.tick_for(15)
    assert world.service.notes() == {world.sweep_id: note.replace("refused", "refused 2 times in a row")}
    world.processes.full = False
    world.tick_for(70)
    assert world.service.notes() == {}
    assert told(world, world.sweep_id) == [note, None]
    launch = world.book.launch(world.sweep_id)
    assert (launch.state, launch.refused) == (LaunchState.RUNNING, 0)
    world.service.engine.dispose()


def test_a_start_whose_answer_was_lost_is_not_made_again(tmp_path):
    """A cluster that takes long to answer has the job: it is found, and is the sweep's driver."""
    world = FullWorld(f"sqlite:///{tmp_path}/store.db", Lost)
    world.tick_for(60)
    launch = world.book.launch(world.sweep_id)
    assert (launch.number, launch.state, launch.refused) == (1, LaunchState.RUNNING, 0)
    assert (launch.retry_at, world.service.notes()) == (None, {})
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
