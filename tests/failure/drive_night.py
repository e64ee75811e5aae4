"""A driver without Ray, for services that are killed: python -m tests.failure.drive_night SWEEP_ID NUMBER

What a launcher starts here in place of `masksweep drive`. It confirms its launch as that one does, leaves a
line in `drivers.log` of the home if it may drive, and drives to the sweep's end.
"""

import sys
import time

from runners.curves.worker import AnalyticWorker
from sweeps.bootstrap import open_service
from sweeps.core.trial import Assignment, Decision, TrialWorker
from sweeps.launchers.local import own_handle
from sweeps.search import Search
from sweeps.service import SweepService
from sweeps.settings import Settings
from sweeps.store.launches import confirm

LOG = "drivers.log"


def night_command(sweep_id: str, number: int, python: str) -> list[str]:
    """As `sweeps.launchers.local.drive_command`, of this driver; home and store come from its environment."""
    return [python, "-m", "tests.failure.drive_night", sweep_id, str(number)]


def drive(
    service: SweepService, sweep_id: str, settings: Settings, worker: TrialWorker | None = None
) -> None:
    """One trial after another, on that worker or on an analytic one."""
    claim = service.claim(sweep_id, time.time())
    directory = settings.sweep_directory(sweep_id)
    search = Search(service, claim, directory=directory, workers=1, devices=0.0, clock=time.time)
    worker = worker or AnalyticWorker(service.sweep(sweep_id).spec)
    while isinstance(turn := search.next(), Assignment):
        worker.start(turn)
        search.begun(turn.number)
        while search.report(worker.step()) is Decision.CONTINUE:
            pass
    ending = search.ending()
    service.finish(claim, ending.state, ending.reason, time.time())


if __name__ == "__main__":
    sweep_id, number = sys.argv[1], int(sys.argv[2])
    settings = Settings.load()
    service = open_service(settings)
    own = own_handle(settings, sweep_id, number)
    if not confirm(service.engine, sweep_id, number, time.time(), handle=own):
        sys.exit(f"launch {number} of sweep {sweep_id} is over, or has a process already")
    with (settings.home / LOG).open("a") as drivers:
        drivers.write(f"{sweep_id} {number}\n")
    drive(service, sweep_id, settings)
