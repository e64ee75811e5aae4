"""How few and how many trials can come to each rung, whatever they measure and in what order they come."""

from collections import Counter

from sweeps.core.pruner import options_read
from sweeps.core.spec import SweepSpec
from sweeps.core.unmendable import DRIFT
from sweeps.pruning.brackets import bracket_of


def rung_bounds(spec: SweepSpec, trials: int) -> list[tuple[int, int]]:
    """The fewest and the most of so many trials that are evaluated at each rung, if all can be trained.

    All come to the first rung, and all go on if each is better than those before it, or if nothing may be
    stopped. The fewest go on where the first of them was the best. Each bound can happen.
    """
    fewest = [_fewest(spec, trials, rung) for rung in range(1, len(spec.fidelity.rungs))]
    return [(trials, trials), *((few, trials) for few in fewest)]


def _fewest(spec: SweepSpec, trials: int, rung: int) -> int:
    """Of a rung behind the first one."""
    pruner, rungs = spec.pruner, len(spec.fidelity.rungs)
    if pruner.type == "none":
        return trials
    if any(constraint.metric in DRIFT for constraint in spec.constraints):
        return 0  # all of them may break it, and each then stops at its first rung
    match pruner.type:
        case "successive_halving":
            return 1  # the first to come to a rung passes it
        case "hyperband":
            factor = pruner.reduction_factor
            brackets = Counter(bracket_of(number, rungs, factor) for number in range(trials))
            return sum(count if bracket >= rung else 1 for bracket, count in brackets.items())
        case _:
            read = options_read({"inner": pruner.inner}, pruner.type)
            spared = pruner.patience + 1 if "patience" in read else 0
            spared = max(spared, pruner.warmup_rungs if "warmup_rungs" in read else 0)
            if rung <= spared:
                return trials
            return min(trials, pruner.startup_trials) if "startup_trials" in read else 0
