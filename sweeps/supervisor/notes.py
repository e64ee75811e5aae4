"""What people are told of submitted sweeps: a start that is refused, a deadline that will be missed."""

import logging

from sweeps.core.deadline import deadline_note
from sweeps.core.errors import StoreUnavailable
from sweeps.core.finals import Finals
from sweeps.core.progress import Overview
from sweeps.core.states import SweepState, TrialState
from sweeps.service import SweepService
from sweeps.store.launches import LaunchBook
from sweeps.store.watched import Watched

_log = logging.getLogger(__name__)

EVERY_S = 60.0
"""Between two looks at deadlines."""

MOST_CHARACTERS = 500
"""Of a launcher's reason."""


class Notes:
    """Keeps a note at each sweep that needs one, for as long as it does.

    Args:
        service: On the store.
        book: Takes the notes.
    """

    def __init__(self, service: SweepService, book: LaunchBook) -> None:
        self._service, self._book = service, book
        self._looked_at = float("-inf")
        self._started = set[str]()  # since the last look, in which they may still stand as refused

    def look(self, watched: list[Watched], now: float) -> None:
        """Writes and deletes notes; those of deadlines at most once a minute.

        Raises:
            LeaseLost: Another supervisor has the lease by now.
        """
        long_ago = now - self._looked_at >= EVERY_S
        if long_ago:
            self._looked_at = now
        started, self._started = self._started, set()
        for one in watched:
            refused = None if one.launch.sweep_id in started else refusal_note(one)
            if refused is not None:
                self._book.note(one, refused, now)
            elif long_ago:
                self._look_at_deadline(one, now)

    def started(self, one: Watched, now: float) -> None:
        """A driver's process was started: if none could be before, nobody needs to know that any more.

        Raises:
            LeaseLost: Another supervisor has the lease by now.
        """
        self._started.add(one.launch.sweep_id)
        if refusal_note(one) is not None:
            self._book.note(one, None, now)

    def _look_at_deadline(self, one: Watched, now: float) -> None:
        goes_on = one.state in (SweepState.RUNNING, SweepState.PAUSED)
        try:
            note = self._of_deadline(one.launch.sweep_id, now) if goes_on else None
        except StoreUnavailable:
            raise
        except Exception:  # what is wrong with one sweep keeps no other from its note
            _log.exception("the deadline of sweep %s cannot be looked at", one.launch.sweep_id)
            return
        self._book.note(one, note, now)

    def _of_deadline(self, sweep_id: str, now: float) -> str | None:
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


def refusal_note(one: Watched) -> str | None:
    """Why no process can be started for a sweep that waits for one; None if that is not so, or it is held."""
    launch = one.launch
    if not launch.refused or one.held_by is not None or one.state.terminal:
        return None
    said = " / ".join(line.strip() for line in (launch.reason or "").splitlines() if line.strip())
    times = "" if launch.refused == 1 else f" {launch.refused} times in a row"
    return f"its start was refused{times}, and is tried again: {said[:MOST_CHARACTERS]}"
