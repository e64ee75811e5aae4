"""A Tune trainable around a worker: one actor runs trial after trial in one warm process."""

from pathlib import Path
from typing import Any

import ray
from ray import tune

from runners.stall import StallWatch
from sweeps.core.trial import Assignment, TrialWorker, WorkerFactory

ASSIGNMENT = "assignment"
REPORT = "report"
WORN_OUT = "worn_out"


def last_words(assignment: Assignment) -> Path:
    """Where a worker that hangs says so before its process ends."""
    return Path(assignment.directory) / f"hung-{assignment.attempt}.txt"


def make_trainable(factory: WorkerFactory, stall_s: float) -> type[tune.Trainable]:
    """A trainable class whose actors keep their worker across trials.

    Args:
        factory: Makes an actor's worker.
        stall_s: Seconds in which nothing moves after which a worker's process ends; infinity: never.
    """

    class WorkerTrainable(tune.Trainable):  # type: ignore[misc]  # Ray has no stubs
        """Carries assignments in and reports out; the worker itself raises nothing.

        An actor whose worker is worn out takes no further trial: instead of a first report it says why, and
        exits when it is asked for the next one. Tune then takes it for dead, and frees what it held.
        """

        _worker: TrialWorker
        _watch: StallWatch
        _words: Path
        _worn_out: str | None = None
        _said = False

        def setup(self, config: dict[str, Any]) -> None:
            self._watch = StallWatch(stall_s)
            self._words = last_words(config[ASSIGNMENT])
            with self._watch.over(self._words):
                self._worker = factory()
            self._worker.start(config[ASSIGNMENT])

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            self._worn_out = self._worker.worn_out()
            if self._worn_out is None:
                self._words = last_words(new_config[ASSIGNMENT])
                self._worker.start(new_config[ASSIGNMENT])
            return True  # False would make Tune wait for ever

        def step(self) -> dict[str, Any]:
            if self._said:
                ray.actor.exit_actor()
            if self._worn_out is not None:
                self._said = True
                return {WORN_OUT: self._worn_out}
            with self._watch.over(self._words):
                return {REPORT: self._worker.step()}

        def save_checkpoint(self, checkpoint_dir: str) -> None:
            raise RuntimeError("workers write their own checkpoints; Tune must ask for none")

        def load_checkpoint(self, checkpoint: dict[str, Any] | None) -> None:
            raise RuntimeError("trials resume from their assignment; Tune must restore none")

    return WorkerTrainable
