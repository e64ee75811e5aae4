"""Supervisors that die at any moment: never two drivers, and every sweep comes to its end."""

from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sweeps.core.states import SweepState
from sweeps.core.supervision import LAUNCH_TRANSITIONS, LaunchState, Rules
from sweeps.launchers.launcher import LauncherUnavailable
from sweeps.service import SweepService
from sweeps.store.engine import open_engine, writing
from sweeps.store.launches import confirm
from sweeps.store.migrations import upgrade
from sweeps.store.submissions import submit
from sweeps.supervisor.supervisor import Supervisor
from sweeps.testing import FakeClock, make_spec

RULES = Rules()
FAULTS = ["none", "die before start", "die after start", "away before start", "away after start"]
EVENTS = ["tick", "other", "confirm", "late", "die", "finish", "wait", "wait long"]


class Killed(BaseException):
    """The supervisor is gone, in the middle of what it did."""


class Processes:
    """A launcher whose processes are rows of a table, kept whatever becomes of supervisors."""

    def __init__(self) -> None:
        self.living: dict[str, bool] = {}  # handle -> whether it was told to the supervisor's machine
        self.fault = "none"

    def start(self, sweep_id: str, number: int) -> str:
        fault, self.fault = self.fault, "none"
        if fault == "die before start":
            raise Killed
        if fault == "away before start":
            raise LauncherUnavailable("away")
        handle = f"{sweep_id}|{number}"
        assert handle not in self.living, "a launch was started twice"
        self.living[handle] = True
        if fault == "die after start":
            raise Killed
        if fault == "away after start":
            raise LauncherUnavailable("the answer was lost")
        return handle

    def find(self, sweep_id: str, number: int) -> str | None:
        return None  # as of local processes: they confirm themselves

    def alive(self, handle: str) -> bool:
        return self.living.get(handle, False)

    def stop(self, handle: str, *, force: bool = False) -> None:
        self.living[handle] = False

    def output(self, handle: str) -> str:
        return "bad luck"


class World:
    """A store, two supervisors, and the processes that they start."""

    def __init__(self, url: str) -> None:
        engine = open_engine(url)
        upgrade(engine)
        self.service, self.clock, self.processes = SweepService(engine), FakeClock(), Processes()
        self.sweep_id = self.service.create(make_spec(), fingerprint="", now=self.clock()).sweep_id
        with writing(engine) as connection:
            submit(connection, self.sweep_id, by="ann", now=self.clock())
        self.drivers: dict[str, object] = {}  # handle -> claim, of processes that confirmed themselves
        self.lives = 0
        self.supervisors = [self.supervisor(), self.supervisor()]

    def supervisor(self) -> Supervisor:
        self.lives += 1
        name = f"s{self.lives}"
        return Supervisor(
            self.service, self.processes, self.clock, holder=name, rules=RULES, is_dead=self.is_dead
        )

    def is_dead(self, _: object) -> bool:
        return not any(self.processes.alive(handle) for handle in self.drivers)

    def tick(self, which: int) -> None:
        try:
            self.supervisors[which].tick()
        except Killed:
            self.supervisors[which] = self.supervisor()

    def confirm(self) -> None:
        """Processes come to their first word; those whose launch is over end."""
        for handle, lives in list(self.processes.living.items()):
            if lives and handle not in self.drivers:
                number = int(handle.rpartition("|")[2])
                if confirm(self.service.engine, self.sweep_id, number, self.clock(), handle=handle):
                    now = self.clock()
                    self.drivers[handle] = self.service.claim(self.sweep_id, now, is_dead=self.is_dead)
                else:
                    self.processes.living[handle] = False
        assert len([h for h in self.drivers if self.processes.alive(h)]) <= 1, "two drivers"

    def driver(self) -> str | None:
        return next((h for h in self.drivers if self.processes.alive(h)), None)

    def do(self, event: str) -> None:
        match event:
            case "tick":
                self.tick(0)
            case "other":
                self.tick(1)
            case "confirm":
                self.confirm()
            case "late":  # a process that takes longer than anybody waits
                self.clock.tick(RULES.starting_s * 2)
                self.tick(0)
                self.confirm()
            case "die":
                for handle in self.processes.living:
                    self.processes.living[handle] = False
            case "finish":
                handle = self.driver()
                if handle is not None and not self.service.sweep(self.sweep_id).state.terminal:
                    self.service.finish(self.drivers[handle], SweepState.COMPLETED, None, self.clock())
                    self.processes.living[handle] = False
            case "wait":
                self.clock.tick(5.0)
            case "wait long":
                self.clock.tick(RULES.last_retry_s)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(EVENTS), st.sampled_from(FAULTS)), max_size=25))
def test_whatever_dies_there_is_one_driver_and_an_end(tmp_path_factory, events):
    """Supervisors are killed between row and process, before and after it; processes are slow, or die."""
    world = World(f"sqlite:///{tmp_path_factory.mktemp('store')}/store.db")
    for event, fault in events:
        world.processes.fault = fault
        world.do(event)
    world.processes.fault = "none"
    for _ in range(60):
        if world.service.sweep(world.sweep_id).state.terminal:
            break
        for event in ("tick", "other", "confirm", "finish", "wait long"):
            world.do(event)
    state = world.service.sweep(world.sweep_id).state
    assert state in (SweepState.COMPLETED, SweepState.FAILED)
    for _ in range(4):
        world.do("wait long")
        world.do("tick")
        world.do("other")
    assert world.supervisors[0]._book.launch(world.sweep_id).state is LaunchState.ENDED
    assert not any(world.processes.living.values())
    world.service.engine.dispose()


def test_a_driver_that_dies_too_often_fails_its_sweep(tmp_path):
    """After longer and longer waits; the reason has the end of what it said."""
    world = World(f"sqlite:///{tmp_path}/store.db")
    begun = []
    for _ in range(20_000):
        before = len(world.processes.living)
        world.do("tick")
        if len(world.processes.living) > before:
            begun.append(world.clock())
            world.do("confirm")
            world.do("die")
        if world.service.sweep(world.sweep_id).state.terminal:
            break
        world.clock.tick(1.0)
    sweep = world.service.sweep(world.sweep_id)
    assert sweep.state is SweepState.FAILED
    assert sweep.reason == "its driver died 5 times in a row without progress: bad luck"
    waits = [round(after - before) for before, after in pairwise(begun)]
    assert len(begun) == RULES.most_failures
    assert all(10 * 2**place <= wait <= 10 * 2**place + 3 for place, wait in enumerate(waits)), waits


def test_every_launch_state_has_a_row_and_can_be_reached():
    """No state is forgotten."""
    reached, todo = {LaunchState.WAITING}, [LaunchState.WAITING]
    while todo:
        for state in LAUNCH_TRANSITIONS[todo.pop()] - reached:
            reached.add(state)
            todo.append(state)
    assert reached == set(LaunchState) == set(LAUNCH_TRANSITIONS)
