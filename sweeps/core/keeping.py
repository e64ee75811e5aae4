"""Whose last checkpoint is worth its disk, of the trials that have ended."""

from collections.abc import Iterable
from typing import Generic, TypeVar

from sweeps.core.ranking import Bounds, Objectives, Ranked, front, leader, leaderboard
from sweeps.core.spec import SweepSpec

FRONT_PLACES = 8
"""Finalists of a sweep with several objectives, unless its spec says how many."""

_Trial = TypeVar("_Trial", bound=Ranked)


def places_of(spec: SweepSpec) -> int:
    """How many ended trials keep their last checkpoint, at most."""
    return spec.checkpoints.finalists or (1 if len(spec.objectives) == 1 else FRONT_PLACES)


def best_of(trials: Iterable[_Trial], objectives: Objectives, bounds: Bounds, places: int) -> list[_Trial]:
    """The best of the trials that have ended, in the leaderboard's order.

    With one objective these are the first of the leaderboard. With several they are the Pareto front, as far
    as there are places, or the leader alone where no trial keeps the constraints.

    Args:
        trials: Ended ones.
        objectives: The sweep's.
        bounds: Its constraints.
        places: Trials at most, from 1.
    """
    keeping = Keeping[_Trial](objectives, bounds, places)
    for trial in trials:
        keeping.add(trial)
    return keeping.best()


class Keeping(Generic[_Trial]):
    """`best_of`, told of each trial once, as it ends.

    A trial that was not among the best at some time may have lost its checkpoint; with one objective it is
    never among them again.

    Args:
        objectives: The sweep's.
        bounds: Its constraints.
        places: Trials at most, from 1.
    """

    def __init__(self, objectives: Objectives, bounds: Bounds, places: int) -> None:
        self._objectives, self._bounds, self._places = objectives, bounds, places
        self._ahead: list[_Trial] = []
        self._leader: list[_Trial] = []

    def add(self, trial: _Trial) -> None:
        """A trial that has ended."""
        rivals = [*self._ahead, trial]
        if len(self._objectives) == 1:
            self._ahead = leaderboard(rivals, self._objectives, self._bounds)[: self._places]
            return
        ahead = leader([*self._leader, trial], self._objectives, self._bounds)
        self._leader = [] if ahead is None else [ahead]
        self._ahead = front(rivals, self._objectives, self._bounds)

    def best(self) -> list[_Trial]:
        """The best so far, in the leaderboard's order."""
        return self._ahead[: self._places] or self._leader
