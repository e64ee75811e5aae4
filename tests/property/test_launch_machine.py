"""Several sweeps, two supervisors on one store, and whatever may happen to any of them, in any order."""

import tempfile

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from sweeps.core.errors import WrongState
from sweeps.core.requests import RequestKind
from sweeps.core.states import SweepState
from sweeps.core.supervision import LAUNCH_TRANSITIONS, LaunchState
from sweeps.liveness import STALE_AFTER_S
from sweeps.records import Claim
from sweeps.store.control import SweepControl
from sweeps.store.launches import confirm
from sweeps.store.submissions import Rank
from sweeps.testing import make_spec
from tests.property.test_supervision import FAULTS, RULES, World

SWEEPS = 4
WHICH = st.integers(0, SWEEPS - 1)


class Team(World):
    """A world of several sweeps."""

    def __init__(self, directory: str) -> None:
        super().__init__(f"sqlite:///{directory}/store.db")
        ranks, now = [Rank(priority, 1.0 + priority) for priority in range(1, SWEEPS)], self.clock()
        more = [self.service.create(make_spec(), fingerprint="", now=now, rank=rank) for rank in ranks]
        self.sweeps = [self.sweep_id, *(sweep.sweep_id for sweep in more)]
        self.claims: dict[str, Claim] = {}  # handle -> of a process that drives
        self.control = SweepControl(self.service.engine, is_dead=self.is_dead)

    def is_dead(self, _: object) -> bool:
        """Nobody can tell, as from another machine: who is not heard of for a while is dead."""
        return False

    def driving(self, sweep_id: str) -> list[str]:
        """The processes that drive a sweep."""
        return [h for h in self.claims if h.startswith(f"{sweep_id}|") and self.processes.alive(h)]

    def words(self) -> None:
        """Processes come to their first word, and drive, or end since their launch is over."""
        for handle, lives in list(self.processes.living.items()):
            if not lives or handle in self.claims:
                continue
            sweep_id, _, number = handle.rpartition("|")
            try:
                if not confirm(self.service.engine, sweep_id, int(number), self.clock(), handle=handle):
                    raise WrongState("its launch is over")
                self.claims[handle] = self.service.claim(
                    sweep_id, self.clock(), stale_after_s=STALE_AFTER_S, is_dead=self.is_dead
                )
            except WrongState:
                self.processes.living[handle] = False


class Machine(RuleBasedStateMachine):
    """What supervisors, drivers and people do."""

    @initialize()
    def begin(self) -> None:
        self.directory = tempfile.TemporaryDirectory()
        self.team = Team(self.directory.name)
        self.states = dict.fromkeys(self.team.sweeps, LaunchState.WAITING)

    @rule(which=st.integers(0, 1), fault=st.sampled_from(FAULTS))
    def look(self, which: int, fault: str) -> None:
        """A supervisor looks, and may be killed while it does, or its launcher be away."""
        self.team.processes.fault = fault
        self.team.tick(which)
        self.team.processes.fault = "none"

    @rule()
    def words(self) -> None:
        self.team.words()

    @rule(which=WHICH)
    def die(self, which: int) -> None:
        for handle in self.team.processes.living:
            if handle.startswith(f"{self.team.sweeps[which]}|"):
                self.team.processes.living[handle] = False

    @rule(which=WHICH, kind=st.sampled_from([RequestKind.PAUSE, RequestKind.CANCEL, None]))
    def ask(self, which: int, kind: RequestKind | None) -> None:
        """A person pauses, cancels or resumes a sweep."""
        sweep_id, now = self.team.sweeps[which], self.team.clock()
        try:
            if kind is None:
                self.team.control.resume(sweep_id, by="ann", now=now)
            else:
                self.team.control.ask(sweep_id, kind, by="ann", now=now)
        except WrongState:
            return

    @rule(which=WHICH)
    def end(self, which: int) -> None:
        self._leave(self.team.sweeps[which], SweepState.COMPLETED)

    @rule()
    def heed(self) -> None:
        """Drivers carry out what was asked of them."""
        for sweep_id in self.team.sweeps:
            if self.team.service.open_requests(sweep_id):
                self._leave(sweep_id, SweepState.PAUSED)

    @rule(seconds=st.sampled_from([5.0, RULES.starting_s, RULES.last_retry_s]))
    def wait(self, seconds: float) -> None:
        """Drivers that live beat meanwhile."""
        self.team.clock.tick(seconds)
        for sweep_id in self.team.sweeps:
            for handle in self.team.driving(sweep_id):
                self.team.service.beat(self.team.claims[handle], self.team.clock())

    def _leave(self, sweep_id: str, state: SweepState) -> None:
        for handle in self.team.driving(sweep_id):
            self.team.service.finish(self.team.claims[handle], state, "asked", self.team.clock())
            self.team.processes.living[handle] = False

    @invariant()
    def launches_follow_their_table(self) -> None:
        for sweep_id, before in self.states.items():
            now = self.team.supervisors[0]._book.launch(sweep_id).state
            steps, reached = {before}, {before}
            while steps:  # one look may take several
                steps = {after for step in steps for after in LAUNCH_TRANSITIONS[step]} - reached
                reached |= steps
            assert now in reached
            self.states[sweep_id] = now

    @invariant()
    def no_sweep_has_two_drivers(self) -> None:
        assert all(len(self.team.driving(sweep_id)) <= 1 for sweep_id in self.team.sweeps)

    def teardown(self) -> None:
        """Left to themselves, all sweeps that nobody holds come to their end, and all processes too."""
        if not hasattr(self, "team"):
            return
        for which in range(SWEEPS):
            self.ask(which, None)
        for _ in range(40):
            for which in (0, 1):
                self.look(which, "none")
            self.words()
            self.heed()
            for which in range(SWEEPS):
                self.end(which)
            self.wait(RULES.last_retry_s)
            book = self.team.supervisors[0]._book
            if all(book.launch(sweep_id).state is LaunchState.ENDED for sweep_id in self.team.sweeps):
                break
        else:
            raise AssertionError("it did not come to rest")
        assert all(self.team.service.sweep(sweep_id).state.terminal for sweep_id in self.team.sweeps)
        assert not any(self.team.processes.living.values())
        self.team.service.engine.dispose()
        self.directory.cleanup()


TestMachine = Machine.TestCase
TestMachine.settings = settings(
    max_examples=12, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
