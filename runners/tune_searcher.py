"""Hands the search's `next` and `fail` to Ray Tune."""

from typing import Any

from ray.tune.search import Searcher

from runners.deaths import cause_of_death, killed_for_memory
from runners.guard import Guard
from runners.trainable import ASSIGNMENT, last_words
from sweeps.core.trial import Assignment, Failure, FailureKind
from sweeps.search import Search, Turn


class StoreSearcher(Searcher):  # type: ignore[misc]  # Ray has no stubs
    """Asks the search for assignments whenever Tune has room for a trial."""

    def __init__(self, search: Search, guard: Guard) -> None:
        super().__init__(metric=None, mode=None)
        self._search, self._guard = search, guard
        self._assigned: dict[str, Assignment] = {}
        self._replaced: set[str] = set()
        self._again: list[Assignment] = []

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles searchers into its experiment directory, which is never restored

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next assignment; None while there is none; FINISHED, which is final in Tune, at the end."""
        finished: Assignment | Turn = Turn.FINISHED
        turn = self._guard(lambda: self._again.pop(0) if self._again else self._search.next(), finished)
        match turn:
            case Turn.WAIT:
                return None
            case Turn.FINISHED:
                return str(Searcher.FINISHED)
            case _:
                self._assigned[trial_id] = turn
                return {ASSIGNMENT: turn}

    def replace(self, trial_id: str, why: str) -> None:
        """The worker of a trial has not begun with it and will exit: another one gets the same assignment."""
        assignment = self._assigned[trial_id]
        self._replaced.add(trial_id)
        self._guard(lambda: self._search.replaced(assignment.number, assignment.attempt, why), None)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """A trial has left Tune. With `error` its worker is gone, and the store must hear of it from us."""
        assignment = self._assigned.pop(trial_id, None)
        if assignment is not None and trial_id in self._replaced:
            self._replaced.remove(trial_id)
            self._again.append(assignment)
        elif error and assignment is not None:
            failure = _hung(assignment) or _failure(self._guard.last_error)
            self._guard(lambda: self._search.fail(assignment.number, assignment.attempt, failure), None)

    def set_search_properties(self, metric: str | None, mode: str | None, config: Any, **spec: Any) -> bool:
        """Nothing of Tune's is needed: space and objectives are the spec's."""
        return True

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the store has it all."""

    def restore(self, checkpoint_path: str) -> None:
        """Never used: a new driver epoch reads the store."""
        raise NotImplementedError


def _hung(assignment: Assignment) -> Failure | None:
    """What a worker that hung has left, or None if it died of something else."""
    words = last_words(assignment)
    try:
        text = words.read_text()
    except OSError:
        return None
    words.unlink(missing_ok=True)
    return Failure(FailureKind.LOST, f"the worker hung: {text.partition(chr(10))[0]}", text)


def _failure(detail: str) -> Failure:
    """What Ray's report of a worker's death means."""
    if used := killed_for_memory(detail):
        message = f"Ray killed the worker since its node ran low on memory: {used}"
        return Failure(FailureKind.OUT_OF_HOST_MEMORY, message, detail)
    cause = cause_of_death(detail)
    return Failure(FailureKind.LOST, f"the worker died: {cause}" if cause else "the worker died", detail)
