"""A sweep of analytic trials, driven on a real Ray cluster."""

import multiprocessing
import os
import signal
import time
from collections import Counter
from functools import partial
from pathlib import Path

from runners.driver import drive
from runners.testing import CurveWorker
from sweeps.bootstrap import open_service
from sweeps.launchers.runner import DriveOrder
from sweeps.settings import Settings
from sweeps.testing import make_spec


class Home:
    """A home with one sweep of short curves, and a log of every iteration that a worker did."""

    def __init__(self, directory: Path, mlflow_uri: str, **sections):
        self.settings = Settings.load(directory, environ={"MLFLOW_TRACKING_URI": mlflow_uri})
        self.service = open_service(self.settings, create=True)
        sections = {"fidelity": {"iterations": 9, "rungs": [1, 3, 9]}, "budget": {"trials": 6}, **sections}
        sweep = self.service.create(make_spec(**sections), fingerprint="0" * 64, now=time.time())
        self.sweep_id = sweep.sweep_id
        self.log = directory / "iterations.log"
        self.notes: list[str] = []

    def drive(self, address, *, on_progress=lambda _: None, **worker):
        order = DriveOrder(
            self.service, self.settings, self.sweep_id, address, on_progress, self.notes.append
        )
        drive(order, partial(CurveWorker, log=self.log, **worker))

    def drive_apart(self, address, **worker):
        """Drives in a process of its own, for a cluster that goes before the tests do.

        Ray ends a process that asks something of a cluster that has gone (60 s later, with exit code 1).
        """
        arguments = (self.settings, self.sweep_id, address, partial(CurveWorker, log=self.log, **worker))
        driver = multiprocessing.get_context("spawn").Process(target=_drive_apart, args=arguments)
        driver.start()
        driver.join()
        assert driver.exitcode == 0

    @property
    def state(self):
        return self.service.sweep(self.sweep_id).state

    @property
    def trials(self):
        return self.service.trials(self.sweep_id)

    def iterations(self):
        """How often each (trial, iteration) was done."""
        lines = (line.split() for line in self.log.read_text().splitlines())
        return Counter((int(number), int(iteration)) for number, _, _, iteration in lines)


def _drive_apart(settings, sweep_id, address, worker):
    order = DriveOrder(open_service(settings), settings, sweep_id, address, lambda _: None, lambda _: None)
    drive(order, worker)


class Interrupt:
    """Sends this process one Ctrl-C, at the first progress of a trial for which `when` is true."""

    def __init__(self, when):
        self.when, self.sent = when, False

    def __call__(self, progress):
        if not self.sent and progress.changed and self.when(progress.changed):
            self.sent = True
            os.kill(os.getpid(), signal.SIGINT)
