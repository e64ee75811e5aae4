"""Who may run now, and on how much of a GPU.

A trial that ran out of memory beside others is tried once more alone. What it needs stands in its row, so
that it is alone after a restart too. Only one such trial runs at a time. While it waits for its place,
nothing new begins, and what runs makes room at its next checkpoint: otherwise others might take each
share of a device that is given back, for ever.
"""

from collections.abc import Collection
from enum import Enum

from sweeps.core.states import TrialState
from sweeps.core.trial import Alone, Decision, Failure, FailureKind, SecondTry
from sweeps.records import Outcome, TrialRecord

OTHERS_HOLD_IT_S = 60.0
"""Silence, with no other trial of the sweep running, after which others than us must hold the device."""

_WITH_ALL_OF = {Alone.DEVICE: "alone on a full device", Alone.HOST: "with nothing else running"}


class Place(Enum):
    """What there is room for, unless it is a trial that waits."""

    NEW = "new"
    NONE = "none"


class Room:
    """What a driver's trials share.

    Args:
        workers: Trials that may run at once.
        devices: Share of a GPU that a trial holds; 0 trains on CPUs.
        beside: Trials that may run at once while one of them has a full device; that one counts.
    """

    def __init__(self, workers: int, devices: float, beside: int) -> None:
        self._workers, self._devices, self._beside = workers, devices, beside
        self._coming: int | None = None  # the trial that is to be alone, until its worker has begun
        self._waived: int | None = None  # the same, once it is no longer waited for
        self._heard_at = 0.0

    def share(self, trial: TrialRecord | None = None) -> float:
        """The share of a GPU that a trial's next attempt holds; of a new trial if None is given."""
        alone = trial is not None and trial.second_try is not None
        return 1.0 if alone and self._devices else self._devices

    def pick(self, trials: Collection[TrialRecord], now: float) -> TrialRecord | Place:
        """The trial to go on with, or whether there is room for a new one; `trials` are all of them."""
        running = [t for t in trials if t.state is TrialState.RUNNING and t.number != self._waived]
        queued = sorted((t for t in trials if t.state is TrialState.QUEUED), key=lambda t: t.number)
        alone = next((t for t in running if t.second_try), None)
        if alone is not None:
            silent_s = now - self._heard_at
            if self._coming is not None and len(running) == 1 and silent_s >= OTHERS_HOLD_IT_S:
                self._waived, self._coming = self._coming, None
                return self.pick(trials, now)
            if self._coming is not None or self._takes_all(alone) or len(running) >= self._beside:
                return Place.NONE
        elif len(running) >= self._workers:
            return Place.NONE
        elif waiting := [t for t in queued if t.second_try and self._waived is None]:
            return Place.NONE if running and self._takes_all(waiting[0]) else waiting[0]
        return next((t for t in queued if t.second_try is None), Place.NEW)

    def hand_out(self, trial: TrialRecord, now: float) -> None:
        """An attempt is handed out; its worker begins when the executor has a place for it."""
        self._heard_at = now
        if trial.second_try is not None:
            self._coming = trial.number

    def waits_for(self, number: int) -> bool:
        """Whether a trial that is handed out still waits for its device: it holds none yet."""
        return number in (self._coming, self._waived)

    def hear(self, number: int, now: float) -> None:
        """Something is heard of a trial: a worker has begun with it, or reports, or is gone."""
        self._heard_at = now
        if number == self._coming:
            self._coming = None
        if number == self._waived:
            self._waived = None

    def makes_way(self, trial: TrialRecord, trials: Collection[TrialRecord]) -> str | None:
        """Why a trial that could go on has to stop here for a while, or None."""
        if self._coming is not None:
            guest = next(t for t in trials if t.number == self._coming)
        else:
            waiting = [t for t in trials if t.state is TrialState.QUEUED and t.second_try]
            guest = min(waiting, key=lambda t: t.number, default=trial)
            if not self._takes_all(guest):  # the device that it needs is asked for when it is handed out
                return None
        if guest.number == trial.number or guest.second_try is None or self._waived is not None:
            return None
        return f"makes room for trial {guest.number}, which runs {_WITH_ALL_OF[guest.second_try.alone]}"

    def out_of_memory(self, trial: TrialRecord, failure: Failure) -> Outcome:
        """What becomes of a trial that ran out of memory: a second try, unless it was alone already."""
        said = f"{failure.kind}: {failure.message}"
        if trial.second_try is not None:
            how = _WITH_ALL_OF[Alone.HOST if self._takes_all(trial) else trial.second_try.alone]
            before = trial.second_try.because
            return Outcome(TrialState.INFEASIBLE, f"{said} ({how}; before: {before})", Decision.STOP)
        alone = self._second_try(failure.kind)
        if alone is None:
            had = "it had a full device" if self._on_device(failure.kind) else "nothing else ran"
            return Outcome(TrialState.INFEASIBLE, f"{said} ({had})", Decision.STOP)
        return Outcome(TrialState.QUEUED, said, Decision.STOP, SecondTry(alone, said))

    def _second_try(self, kind: FailureKind) -> Alone | None:
        if self._on_device(kind):
            return Alone.DEVICE if self._devices < 1 else None
        return Alone.HOST if self._workers > 1 else None

    def _on_device(self, kind: FailureKind) -> bool:
        return kind is FailureKind.OUT_OF_MEMORY and self._devices > 0

    def _takes_all(self, trial: TrialRecord) -> bool:
        """Whether nothing else may run beside a trial: on CPUs that is what a device of its own means."""
        second = trial.second_try
        return second is not None and (second.alone is Alone.HOST or not self._devices)
