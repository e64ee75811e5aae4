"""Looks now and then whether submitted sweeps will be done before their deadlines."""

from sweeps.core.deadline import deadline_note
from sweeps.core.finals import Finals
from sweeps.core.progress import Overview
from sweeps.core.states import SweepState, TrialState
from sweeps.service import SweepService
from sweeps.store.launches import LaunchBook
from sweeps.store.watched import Watched

EVERY_S = 60.0


class Deadlines:
    """Keeps a note at each sweep whose deadline will be missed, for as long as it will.

    Args:
        service: On the store.
        book: Takes the notes.
    """

    def __init__(self, service: SweepService, book: LaunchBook) -> None:
        self._service, self._book = service, book
        self._looked_at = float("-inf")

    def look(self, watched: list[Watched], now: float) -> None:
        """Writes and deletes notes, at most once a minute.

        Raises:
            LeaseLost: Another supervisor has the lease by now.
        """
        if now - self._looked_at < EVERY_S:
            return
        self._looked_at = now
        for one in watched:
            goes_on = one.state in (SweepState.RUNNING, SweepState.PAUSED)
            self._book.note(one, self._note(one.launch.sweep_id, now) if goes_on else None, now)

    def _note(self, sweep_id: str, now: float) -> str | None:
        sweep = self._service.sweep(sweep_id)
        if sweep.deadline_at is None or sweep.budget.deadline is None:
            return None
        trials = self._service.trials(sweep_id)
        running = sum(trial.state is TrialState.RUNNING for trial in trials)
        workers = running or sweep.spec.resources.max_concurrent or 1
        overview = Overview(Finals(sweep.spec), rungs=tuple(sweep.spec.fidelity.rungs), workers=workers)
        progress = overview.at(trials, sweep.budget.trials)
        return deadline_note(
            deadline=sweep.budget.deadline,
            deadline_at=sweep.deadline_at,
            left_s=progress.left_s,
            now=now,
            done=progress.done,
            total=progress.total,
        )
