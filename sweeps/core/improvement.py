"""Whether a search still finds anything better."""

from sweeps.core.ranking import Bounds, Objectives, Ranked, dominates, scores, standing
from sweeps.core.states import TrialState

_COUNTED = frozenset({TrialState.COMPLETED, TrialState.PRUNED})


class Improvement:
    """Counts the trials that have ended since the best result, or with several objectives the front, changed.

    A trial that could not be judged (FAILED, INFEASIBLE, CANCELLED) says nothing about how far the search is,
    and does not count. Before anything is measured nothing counts.

    Args:
        objectives: What is to become best.
        bounds: The constraints; what keeps them is better than all that does not.

    Attributes:
        since: Trials that have ended since then.
        last: Number of the trial that brought the change, or None before the first measurement.
    """

    def __init__(self, objectives: Objectives, bounds: Bounds) -> None:
        self._objectives, self._bounds = objectives, bounds
        self._standing: tuple[float, bool] = (float("inf"), True)
        self._front: list[tuple[float, ...]] = []
        self.since = 0
        self.last: int | None = None

    def end(self, trial: Ranked) -> None:
        """Takes the end of a trial in; in the order in which they ended."""
        if trial.state not in _COUNTED:
            return
        got = scores(trial.metrics, self._objectives)
        if got is None or not self.betters(trial):
            self.since += self.last is not None
            return
        place = standing(trial, self._bounds)
        kept = self._front if place == self._standing else []
        self._front = [*(other for other in kept if not dominates(got, other)), got]
        self._standing, self.since, self.last = place, 0, trial.number

    def stalled(self, limit: int | None) -> str | None:
        """The reason to end a sweep in which `limit` trials may end without a better one, or None."""
        if limit is None or self.since < limit:
            return None
        several = len(self._objectives) > 1
        last = "the last to join the front is" if several else "the best is still"
        return f"no improvement over {limit} trial{'s' if limit > 1 else ''}: {last} trial {self.last}"

    def betters(self, trial: Ranked) -> bool:
        """Whether a trial, as it was last measured, is better than what has ended, or adds to the front."""
        got = scores(trial.metrics, self._objectives)
        if got is None or trial.state is TrialState.INFEASIBLE:
            return False
        place = standing(trial, self._bounds)
        if place != self._standing or not self._front:
            return place < self._standing or not self._front
        return not any(all(x >= y for x, y in zip(other, got, strict=True)) for other in self._front)
