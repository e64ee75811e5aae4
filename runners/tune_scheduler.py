"""Hands workers' reports to the search, and its decisions back to Ray Tune."""

import os
from pathlib import Path
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from runners.guard import Guard
from runners.stall import move
from runners.trainable import ASSIGNMENT, REPORT, WORN_OUT
from runners.tune_searcher import StoreSearcher
from sweeps.core.trial import Assignment, Decision, Report
from sweeps.search import Search


class StoreScheduler(FIFOScheduler):  # type: ignore[misc]  # Ray has no stubs
    """Lets the search decide after every report whether an attempt goes on."""

    def __init__(self, search: Search, guard: Guard, searcher: StoreSearcher) -> None:
        super().__init__()
        self._search, self._guard, self._searcher = search, guard, searcher

    def __getstate__(self) -> dict[str, Any]:
        return {}  # pickled with the experiment, never restored

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """One report, one transaction, one decision."""
        if WORN_OUT in result:
            self._searcher.replace(trial.trial_id, result[WORN_OUT])
            return str(TrialScheduler.CONTINUE)  # asked for more, it exits
        report: Report = result[REPORT]
        match self._guard(lambda: self._search.report(report), Decision.STOP):
            case Decision.CONTINUE:
                return str(TrialScheduler.CONTINUE)
            case _:
                return str(TrialScheduler.STOP)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """Keeps the cause for the searcher, which Tune calls next without it.

        It is in a file of the trial's that `trial.get_error` looks for in another place.
        """
        path = trial.error_file
        self._guard.last_error = Path(path).read_text() if path and os.path.exists(path) else ""


class LoopWatch(Callback):  # type: ignore[misc]  # Ray has no stubs
    """Says that Tune's loop goes on, and tells the search that a worker has begun with a trial.

    Until then that may have waited for a device.
    """

    def __init__(self, search: Search, guard: Guard) -> None:
        self._search, self._guard = search, guard

    def __getstate__(self) -> dict[str, Any]:
        return {}  # pickled with the experiment, never restored

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Called ten times a second, whatever happens."""
        move()

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Called when its actor is up, and when a warm one has taken it."""
        assignment: Assignment = trial.config[ASSIGNMENT]
        self._guard(lambda: self._search.begun(assignment.number), None)
