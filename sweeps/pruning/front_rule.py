"""Successive halving of several objectives, by what trials are expected to add to the front.

A rank among trials at the same rung says little of a front that others have reached already: what matters is
where a trial would come to.
"""

from collections.abc import Mapping
from operator import gt

from sweeps.core.extrapolation import Outlook
from sweeps.core.fronts import Standing, Vector
from sweeps.core.hypervolume import corner, gain
from sweeps.core.spec import SweepSpec
from sweeps.core.states import TrialState
from sweeps.pruning.rank_rules import RankRule
from sweeps.pruning.rules import Reading

STARTUP = 5
"""Completed trials that were measured at the rung; before there are so many, trials are compared by rank."""

WINDOW = 40
"""With how many others a trial is compared at a rung: the newest, as suggestions become better."""

_HOPE = 1.0  # standard deviations that are added to what a trial is expected to come to


class FrontRule:
    """The trials pass that would add most to the front of the completed ones, one in `reduction_factor`.

    What a trial comes to is extrapolated from its scores and how others went on, hopefully. What it adds is
    hypervolume. A trial that even so adds nothing stops, and one that is expected to be the best of all in an
    objective passes. Trials that break constraints come by rank, last.
    """

    def __init__(self, spec: SweepSpec) -> None:
        self._ranks, self._factor = RankRule(spec), spec.pruner.reduction_factor
        self._rungs, self._objectives = len(spec.fidelity.rungs), len(spec.objectives)

    def take(self, reading: Reading) -> None:
        """Takes a reading in."""
        self._ranks.take(reading)

    def end(self, number: int, state: TrialState, metrics: Mapping[str, float]) -> None:
        """An end changes nothing: what was measured at a rung counts on."""

    def against(self, number: int, rung: int) -> str | None:
        """Why a trial is not worth going on with."""
        at = [_sound(self._ranks.standings.at(place)) for place in range(self._rungs)]
        front = at[-1]
        if number not in at[rung] or len(front.keys() & at[rung].keys()) < STARTUP:
            return self._ranks.against(number, rung)
        courses = [
            {place: scores[trial] for place, scores in enumerate(at) if trial in scores}
            for trial in sorted({trial for scores in at for trial in scores})
        ]
        outlook = Outlook(courses, self._rungs, self._objectives)
        others = [*sorted(at[rung].keys() - {number})[-WINDOW:], number]
        hoped = {trial: outlook.of(rung, at[rung][trial], _HOPE) for trial in others}
        worst = corner([*hoped.values(), *front.values()])
        added = {
            trial: gain(scores, [known for other, known in front.items() if other != trial], worst)
            for trial, scores in hoped.items()
        }
        if any(map(gt, outlook.of(rung, at[rung][number], 0.0), map(max, zip(*front.values(), strict=True)))):
            return None
        if added[number] <= 0:
            return f"not expected to come beyond the front of the {len(front)} that completed"
        places = max(1, len(others) // self._factor)
        if sum(each > added[number] for each in added.values()) < places:
            return None
        return f"not expected to add as much to the front as the best {places} of {len(others)} there"


def _sound(there: Mapping[int, Standing]) -> Mapping[int, Vector]:
    """The scores of trials that keep the constraints."""
    return {number: standing.scores for number, standing in there.items() if not standing.violation}
