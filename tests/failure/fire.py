"""A service in a process of its own, to be killed: python -m tests.failure.fire [BARRIER]

It fires schedules and starts drivers of home and store in its environment. Each line of stdin is a time, at
which it ticks once, and then says `ticked`. At its barrier it says `at BARRIER`, and goes no further.
"""

import sys
from collections.abc import Callable
from typing import Any, NoReturn

import sqlalchemy as sa

from sweeps.bootstrap import open_service
from sweeps.launchers import local
from sweeps.launchers.local import LocalLauncher
from sweeps.settings import Settings
from sweeps.store.firings import Firings
from sweeps.store.launches import LaunchBook
from sweeps.store.nights import Nights
from sweeps.supervisor.scheduler import Scheduler
from sweeps.supervisor.supervisor import Supervisor
from sweeps.testing import FakeClock
from tests.failure.drive_night import night_command

BARRIERS: dict[str, tuple[type, str, bool]] = {
    "deciding": (Firings, "fire", True),  # the night's row
    "decided": (Firings, "fire", False),
    "beginning": (Nights, "begin", True),  # its sweep
    "begun": (Nights, "begin", False),
    "launching": (LaunchBook, "write_down", True),  # its driver's row
    "launched": (LaunchBook, "write_down", False),  # the launcher has not been asked yet
    "started": (LocalLauncher, "start", False),  # the process runs, and its service has not written it down
}
"""By name: the step, and whether it stops within the step, before its commit, or behind it."""


def services(settings: Settings, clock: Callable[[], float]) -> tuple[Scheduler, Supervisor]:
    """What `masksweep serve` runs of a home, in the order in which a night passes through it."""
    service = open_service(settings)
    return Scheduler(service, clock), Supervisor(service, LocalLauncher(settings), clock)


def stop_at(barrier: str) -> None:
    """Makes this process wait at a barrier, in or behind the real step."""
    owner, name, inside = BARRIERS[barrier]
    step = getattr(owner, name)

    def wait(*_: object) -> NoReturn:
        print(f"at {barrier}", flush=True)
        sys.stdin.readline()
        raise SystemExit("it was to be killed here")

    def stopped(*args: Any, **kwargs: Any) -> NoReturn:
        if inside:
            sa.event.listen(sa.Engine, "commit", wait)
        step(*args, **kwargs)
        wait()

    setattr(owner, name, stopped)


def main() -> None:
    """Ticks until stdin ends."""
    local.drive_command = night_command
    if len(sys.argv) > 1:
        stop_at(sys.argv[1])
    clock = FakeClock()
    scheduler, supervisor = services(Settings.load(), clock)
    for line in sys.stdin:
        clock.now = float(line)
        scheduler.tick()
        supervisor.tick()
        print("ticked", flush=True)


if __name__ == "__main__":
    main()
