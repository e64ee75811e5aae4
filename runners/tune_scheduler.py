"""Hands workers' reports to the search, and its decisions back to Ray Tune."""

from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from runners.guard import Guard
from runners.trainable import REPORT
from sweeps.core.trial import Decision, Report
from sweeps.search import Search


class StoreScheduler(FIFOScheduler):  # type: ignore[misc]  # Ray has no stubs
    """Lets the search decide after every report whether an attempt goes on."""

    def __init__(self, search: Search, guard: Guard) -> None:
        super().__init__()
        self._search, self._guard = search, guard

    def __getstate__(self) -> dict[str, Any]:
        return {}  # pickled with the experiment, never restored

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """One report, one transaction, one decision."""
        report: Report = result[REPORT]
        match self._guard(lambda: self._search.report(report), Decision.STOP):
            case Decision.CONTINUE:
                return str(TrialScheduler.CONTINUE)
            case _:
                return str(TrialScheduler.STOP)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """Keeps the cause for the searcher, which Tune calls next without it."""
        error = trial.get_error()
        self._guard.last_error = f"{type(error).__name__}: {error}" if error else ""
