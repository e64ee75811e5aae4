"""What a supervisor does next about the driver of one sweep: a pure function of what it sees.

A launch is written down before a process is started, and a process asks the store before it does anything
whether its launch still counts. So whatever dies in between, there is at most one driver: a launch that was
given up cannot be confirmed any more, and one that was confirmed is waited for.
"""

from dataclasses import dataclass
from enum import StrEnum

from sweeps.core.states import SweepState


class LaunchState(StrEnum):
    """How the process of a sweep's driver stands."""

    WAITING = "WAITING"  # there is none
    STARTING = "STARTING"  # it was decided that there shall be one; nobody knows whether there is
    RUNNING = "RUNNING"  # it is known by its handle
    ENDED = "ENDED"  # the sweep has ended, and the process too


UNDER_WAY = frozenset({LaunchState.STARTING, LaunchState.RUNNING})
"""States in which there is a process, or may be one."""

LAUNCH_TRANSITIONS: dict[LaunchState, frozenset[LaunchState]] = {
    LaunchState.WAITING: frozenset({LaunchState.STARTING, LaunchState.ENDED}),
    LaunchState.STARTING: frozenset({LaunchState.RUNNING, LaunchState.WAITING, LaunchState.ENDED}),
    LaunchState.RUNNING: frozenset({LaunchState.WAITING, LaunchState.ENDED}),
    LaunchState.ENDED: frozenset({LaunchState.WAITING}),  # the sweep was extended
}


class Action(StrEnum):
    """What to do about a launch."""

    NOTHING = "nothing"
    LAUNCH = "launch"  # write a launch down, then start its process
    ADOPT = "adopt"  # a process was found that nobody had written down
    DROP = "drop"  # a launch never became a process
    LEAVE = "leave"  # the driver left as it was asked to
    BURY = "bury"  # the driver died: count it, and wait before the next
    GIVE_UP = "give up"  # it died too often: the sweep is FAILED
    CARRY_OUT = "carry out"  # what was asked of the sweep, since no driver will
    YIELD = "yield"  # ask the driver to pause: the pool is another sweep's
    STOP = "stop"  # tell the process to end
    KILL = "kill"  # it did not
    END = "end"  # the sweep has ended
    REOPEN = "reopen"  # and was extended


@dataclass(frozen=True, slots=True)
class Rules:
    """Times in seconds, and how often a driver may die.

    Attributes:
        starting_s: For which a process may be on its way from its launch to its first word.
        silent_s: Without a beat, after which a driver that cannot be looked at counts as dead.
        hung_s: Without a beat, after which one that is there is stopped.
        leaving_s: That a driver has to carry out a cancellation, or to ship the last rows at its end.
        stopping_s: From being told to stop to being killed.
        first_retry_s: After the first death; twice as long after each further one,
        last_retry_s: and at most so long.
        most_failures: Deaths in a row, without progress between them, after which the sweep is FAILED.
    """

    starting_s: float = 30.0
    silent_s: float = 90.0
    hung_s: float = 900.0
    leaving_s: float = 120.0
    stopping_s: float = 60.0
    first_retry_s: float = 10.0
    last_retry_s: float = 600.0
    most_failures: int = 5

    def retry_after_s(self, failures: int) -> float:
        """How long to wait after so many deaths in a row, from 1."""
        return min(self.first_retry_s * 2.0 ** min(failures - 1, 30), self.last_retry_s)


@dataclass(frozen=True, slots=True)
class View:
    """A launch and its sweep at one moment. Times are seconds since the Unix epoch.

    Attributes:
        launch: How the launch stands.
        sweep: The sweep's state.
        alive: Whether its process lives; None if nobody can tell from here.
        driven: Whether some driver of the sweep beats, this launch's or one that was started by hand.
        confirmed: Whether the process of this launch has come to its first word.
        held: Whether somebody paused the sweep; of no matter where it comes to its end.
        left: Whether a pause of this launch was carried out: its driver left as it was asked to.
        wanted: Whether the pool has room for the sweep.
        asked_at: Since when a pause or a cancellation waits that can be carried out, or None.
        cancelling: Whether it is a cancellation.
        failures: Deaths in a row.
        retry_at: Not to be launched before, or None; while it is STARTING: the launcher refused to start it.
        launched_at: When it was launched last, or None.
        beat_at: The driver's last beat, or None.
        ended_at: When the sweep became terminal, or None.
        stopped_at: When the process was told to stop, or None.
    """

    launch: LaunchState
    sweep: SweepState
    alive: bool | None = None
    driven: bool = False
    confirmed: bool = False
    held: bool = False
    left: bool = False
    wanted: bool = True
    asked_at: float | None = None
    cancelling: bool = False
    failures: int = 0
    retry_at: float | None = None
    launched_at: float | None = None
    beat_at: float | None = None
    ended_at: float | None = None
    stopped_at: float | None = None


def ready(view: View, now: float, rules: Rules) -> bool:
    """Whether a sweep without a process would be launched if the pool had room."""
    return (
        view.launch is LaunchState.WAITING
        and not view.sweep.terminal
        and not view.driven
        and not view.held
        and view.asked_at is None
        and view.failures < rules.most_failures
        and (view.retry_at is None or now >= view.retry_at)
    )


def decide(view: View, now: float, rules: Rules) -> Action:
    """What to do next about one launch; done again and again it comes to rest.

    Args:
        view: What is seen.
        now: Seconds since the Unix epoch.
        rules: How patient to be.
    """
    match view.launch:
        case LaunchState.ENDED:
            return Action.NOTHING if view.sweep.terminal else Action.REOPEN
        case LaunchState.WAITING:
            return _waiting(view, now, rules)
        case LaunchState.STARTING if not view.confirmed and view.alive is not True:
            return Action.DROP if _never_came(view, now, rules) else Action.NOTHING
        case LaunchState.STARTING if view.alive:
            return Action.ADOPT
        case _:
            return _running(view, now, rules)


def _never_came(view: View, now: float, rules: Rules) -> bool:
    """Whether a launch is given up that has no process yet; one that comes all the same cannot confirm it."""
    if view.alive is not False:  # nobody can tell: where the launcher answers again, it may have one
        return False
    refused = view.retry_at is not None
    return refused or now - (view.launched_at or 0.0) >= rules.starting_s


def _waiting(view: View, now: float, rules: Rules) -> Action:
    if view.sweep.terminal:
        return Action.END
    if view.driven:
        return Action.NOTHING
    if view.asked_at is not None:
        return Action.CARRY_OUT
    if view.failures >= rules.most_failures:
        return Action.GIVE_UP
    return Action.LAUNCH if view.wanted and ready(view, now, rules) else Action.NOTHING


def _running(view: View, now: float, rules: Rules) -> Action:
    if view.alive:
        return _lives(view, now, rules)
    if view.alive is None:  # another machine's process, or a cluster that does not answer
        seen_at = max(view.launched_at or 0.0, view.beat_at or 0.0)
        if view.driven or (now - seen_at < rules.silent_s and not view.sweep.terminal):
            return Action.NOTHING
    if view.sweep.terminal:
        return Action.END
    if view.driven:  # somebody drives it by hand
        return Action.LEAVE
    if view.asked_at is not None:
        return Action.CARRY_OUT
    return Action.LEAVE if _left(view) else Action.BURY


def _left(view: View) -> bool:
    """Whether a process that is gone was not to be there: it has left the sweep, or was refused it."""
    match view.sweep:
        case SweepState.PENDING:
            return view.held
        case SweepState.PAUSED:
            return view.held or view.left or view.stopped_at is not None
        case _:
            return False


def _lives(view: View, now: float, rules: Rules) -> Action:
    if view.stopped_at is not None:
        return Action.KILL if now - view.stopped_at >= rules.stopping_s else Action.NOTHING
    if view.sweep.terminal:
        late = now - (view.ended_at or now) >= rules.leaving_s
        return Action.STOP if late else Action.NOTHING
    if view.cancelling and view.asked_at is not None and now - view.asked_at >= rules.leaving_s:
        return Action.STOP
    silent_s = now - max(view.launched_at or 0.0, view.beat_at or 0.0)
    if silent_s >= rules.hung_s:
        return Action.STOP
    running = view.sweep is SweepState.RUNNING and view.asked_at is None
    return Action.YIELD if running and not view.wanted else Action.NOTHING
