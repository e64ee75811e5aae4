"""How many trials would come to each rung: the sweep's own pruner, asked about trials that are made up.

Nobody knows beforehand how the values at one rung foretell those at the next, or how much better trials
become as the sampler learns. What is possible at all is bounded by `sweeps.pruning.bounds`; what is likely is
the middle of three stories: rungs that say nothing of each other, rungs that agree, and trials that become
better and better, of which more pass.
"""

import random
from collections.abc import Callable, Mapping

from sweeps.core.plan import Span
from sweeps.core.sampler import most_trials
from sweeps.core.spec import Constraint, Sampler, SweepSpec
from sweeps.core.states import TrialState
from sweeps.pruning.bounds import rung_bounds
from sweeps.samplers.sampler import OptunaSampler

MOST_TRIALS = 120
"""Of a made-up sweep: by then shares have settled."""

_Story = Callable[[random.Random, float, float], float]  # (chance, the trial's luck, its place) -> quality

_STORIES: Mapping[str, _Story] = {
    "nothing": lambda chance, luck, place: chance.random(),
    "agree": lambda chance, luck, place: luck,
    "better": lambda chance, luck, place: place + 0.5 * luck,
}


def trials_of(spec: SweepSpec) -> int:
    """How many trials a sweep has: as its budget says, or fewer where its space has no more."""
    return min(spec.budget.trials, most_trials(spec.sampler, spec.space) or spec.budget.trials)


def passing(spec: SweepSpec) -> list[Span]:
    """Of each rung, the share of all trials that come to it; not rising.

    The ends hold for every sweep in which no trial fails; the middle is a guess.
    """
    trials = trials_of(spec)
    bounds = [(fewest / trials, most / trials) for fewest, most in rung_bounds(spec, trials)]
    if all(low == high for low, high in bounds):
        return [Span(low, low, high) for low, high in bounds]
    told = [_shares(spec, story, broken=0.0) for story in _STORIES.values()]
    if spec.constraints:  # a trial that breaks one which training does not mend stops at once
        told.append(_shares(spec, _STORIES["agree"], broken=0.5))
    if spec.pruner.type == "wilcoxon":  # it compares images, which made-up trials have none of
        told.append([low for low, _ in bounds])
    middles = [sum(shares) / len(told) for shares in zip(*told, strict=True)]
    return [
        Span(low, min(max(low, middle), high), high)
        for middle, (low, high) in zip(middles, bounds, strict=True)
    ]


def _shares(spec: SweepSpec, story: _Story, *, broken: float) -> list[float]:
    trials = min(trials_of(spec), MOST_TRIALS)
    chance = random.Random(0)
    sampler = OptunaSampler(spec.model_copy(update={"sampler": Sampler(type="random")}), 0)
    came = [0] * len(spec.fidelity.rungs)
    for number in range(trials):
        sampler.suggest(number)
        luck, breaks = chance.random(), chance.random() < broken
        state, metrics = TrialState.COMPLETED, dict[str, float]()
        for rung, iteration in enumerate(spec.fidelity.rungs):
            came[rung] += 1
            learnt = (rung + 1) / len(came)
            quality = story(chance, luck, number / trials)
            metrics = _metrics(spec, learnt * (1 + quality) / 2, breaks=breaks)
            if sampler.observe(number, iteration, metrics) is not None:
                state = TrialState.PRUNED
                break
        sampler.finish(number, state, metrics)
    return [count / trials for count in came]


def _metrics(spec: SweepSpec, quality: float, *, breaks: bool) -> dict[str, float]:
    """What a trial of that quality, 0 to 1, measures: its objectives, and constraints kept or broken."""
    metrics = {c.metric: _beside(c, breaks=breaks) for c in spec.constraints}
    for objective in spec.objectives:
        metrics[objective.metric] = quality * 100 if objective.goal == "maximize" else 100 - quality * 100
    return metrics


def _beside(constraint: Constraint, *, breaks: bool) -> float:
    """A value that keeps a constraint, or one that clearly breaks it."""
    if constraint.max is not None:
        return constraint.max + (abs(constraint.max) + 1 if breaks else 0)
    return (constraint.min or 0) - (abs(constraint.min or 0) + 1 if breaks else 0)
