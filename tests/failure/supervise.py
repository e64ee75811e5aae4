"""A supervisor in a process of its own, to be killed: supervise.py HOME RAY_ADDRESS [none | row | process]

With `row` it dies between a launch's row and its process, with `process` right after that has started.
"""

import os
import signal
import sys
import threading
from pathlib import Path

from sweeps.bootstrap import open_service
from sweeps.core.supervision import Rules
from sweeps.launchers.local import LocalLauncher
from sweeps.settings import Settings
from sweeps.supervisor.supervisor import Supervisor

RULES = Rules(starting_s=2.0, first_retry_s=0.1)
LEASE_S = 2.0


class Fatal(LocalLauncher):
    """Kills its own process when it starts a driver: before, or after."""

    after = False

    def start(self, sweep_id: str, number: int) -> str:
        """Does not return."""
        if self.after:
            super().start(sweep_id, number)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


if __name__ == "__main__":
    settings = Settings.load(Path(sys.argv[1]))
    fault = sys.argv[3] if len(sys.argv) > 3 else "none"
    launcher = (LocalLauncher if fault == "none" else Fatal)(settings, sys.argv[2])
    if isinstance(launcher, Fatal):
        launcher.after = fault == "process"
    supervisor = Supervisor(open_service(settings), launcher, rules=RULES, lease_s=LEASE_S)
    supervisor.run(threading.Event(), every_s=0.1)
