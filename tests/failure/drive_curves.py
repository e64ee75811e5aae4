"""A driver for the tests to kill: drives a sweep of analytic workers and prints a line on each progress.

python drive_curves.py HOME SWEEP_ID RAY_ADDRESS STEP_S [LEASE_S [HANGS]]

With `local` as its address it starts a Ray of its own. Trial HANGS does at its last rung, the first time.
With STUCK_AT in the environment it does itself, once it has printed that line, and says so after `STUCK_S`.
The iterations go to `iterations.log` in the home, the process ids of the workers to `workers.log`.
"""

import os
import sys
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path

import runners.driver
from runners.testing import CurveWorker
from sweeps.bootstrap import open_service
from sweeps.core.progress import Progress
from sweeps.launchers.runner import DriveOrder
from sweeps.settings import Settings

STUCK_S = 20.0  # more than Tune needs to begin on a busy machine


def say(progress: Progress) -> None:
    changed = progress.changed
    if changed:
        line = f"trial {changed.number} {changed.state} {changed.iteration}"
        print(line, flush=True)
        if line == os.environ.get("STUCK_AT"):
            threading.Event().wait()


if __name__ == "__main__":
    home, sweep_id, address, step_s = Path(sys.argv[1]), sys.argv[2], sys.argv[3], float(sys.argv[4])
    if len(sys.argv) > 5:
        runners.driver.STALE_AFTER_S = float(sys.argv[5])
    settings = Settings.load(home)
    order = DriveOrder(
        open_service(settings),
        settings,
        sweep_id,
        None if address == "local" else address,
        say,
        partial(print, flush=True),
    )
    if "STUCK_AT" in os.environ:
        order = replace(order, hangs_after_s=STUCK_S)
    logs = {"log": home / "iterations.log", "devices": home / "workers.log"}
    faults = dict.fromkeys(map(int, sys.argv[6:]), "hang")
    runners.driver.drive(order, partial(CurveWorker, step_s=step_s, faults=faults, **logs))
