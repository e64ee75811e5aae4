"""A spec's sampler: its options, which type reads which, and what it needs of the other sections."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict

from search_spaces.combinations import combinations
from search_spaces.issues import SpecIssue, shown
from search_spaces.parameters import CategoricalParameter, FloatParameter, IntParameter
from search_spaces.positions import count_of
from search_spaces.scalars import as_truth
from search_spaces.space import SearchSpace
from sweeps.core.spec_fields import MAX_TRIALS, number, one_of, problem, truth, whole

SAMPLER_TYPES = ("tpe", "gp", "nsga2", "nsga3", "cma_es", "random", "qmc", "grid")

_LEAST_EVOLVING = 4
"""Population of CMA-ES: the better half of it makes a direction."""

_BREEDING = ("population", "crossover_probability", "swap_probability", "mutation_probability")

SAMPLER_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "tpe": ("startup_trials", "learns_from", "candidates", "multivariate", "constant_liar"),
    "gp": ("startup_trials", "deterministic"),
    "nsga2": ("startup_trials", *_BREEDING),
    "nsga3": (*_BREEDING, "divisions"),
    "cma_es": ("startup_trials", "population", "sigma"),
    "random": (),
    "qmc": ("sequence", "scramble"),
    "grid": ("points", "shuffle"),
}
"""Type -> the options that it reads, besides `seed`."""


def _auto_or_truth(raw: object) -> bool | str:
    value = "auto" if raw == "auto" else as_truth(raw)
    if value is None:
        raise problem(f"got {shown(raw)}, but needs true, false or auto")
    return value


_PROBABILITY = number(" from 0 to 1", lambda value: 0 <= value <= 1)


class Sampler(BaseModel):
    """How new trials are chosen.

    Attributes:
        seed: 0 to 2**31 - 1; with it and the trials' results the choice is fixed.
        startup_trials: Trials drawn at random before TPE, GP or CMA-ES begin to learn; for NSGA-II the
            population, where that is not given.
        learns_from: rungs: TPE takes trials for what they are expected to come to, from their last rung, also
            those that were pruned or still run; ended: only completed ones show what is good.
        candidates: Drawn by TPE for each suggestion, of which the best is taken; 1 to 10,000.
        multivariate: Whether TPE draws parameters jointly; auto: with one objective.
        constant_liar: Whether TPE keeps away from what runs.
        deterministic: Whether GP takes results to be free of noise.
        population: Trials of a generation, 2 to MAX_TRIALS; None: the startup trials for NSGA-II, 10 for
            NSGA-III, and 4 + 3 ln(n) for CMA-ES over n ranges.
        crossover_probability: That a trial has two parents, not one; 0 to 1.
        swap_probability: That a parameter comes from the second parent; 0 to 1.
        mutation_probability: That a parameter is drawn anew; 0 to 1; None: one in all.
        divisions: Of each objective between NSGA-III's reference points; 1 to 100.
        sigma: First spread of CMA-ES, as a share of each range; above 0, up to 1.
        sequence: Of quasi-random points.
        scramble: Whether the seed decides on them.
        points: Of a grid on each range without steps, both ends included; 1 to 1000.
        shuffle: Whether a grid's order is drawn by the seed; else the last knob changes fastest.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Annotated[
        Literal["tpe", "gp", "nsga2", "nsga3", "cma_es", "random", "qmc", "grid"], one_of(*SAMPLER_TYPES)
    ] = "tpe"
    seed: Annotated[int, whole(0, 2**31 - 1)] = 0
    startup_trials: Annotated[int, whole(1, MAX_TRIALS)] = 10
    learns_from: Annotated[Literal["rungs", "ended"], one_of("rungs", "ended")] = "rungs"
    candidates: Annotated[int, whole(1, 10_000)] = 24
    multivariate: Annotated[bool | Literal["auto"], BeforeValidator(_auto_or_truth)] = "auto"
    constant_liar: Annotated[bool, truth()] = True
    deterministic: Annotated[bool, truth()] = False
    population: Annotated[int | None, whole(2, MAX_TRIALS)] = None
    crossover_probability: Annotated[float, _PROBABILITY] = 0.9
    swap_probability: Annotated[float, _PROBABILITY] = 0.5
    mutation_probability: Annotated[float | None, _PROBABILITY] = None
    divisions: Annotated[int, whole(1, 100)] = 3
    sigma: Annotated[float, number(" above 0 and up to 1", lambda value: 0 < value <= 1)] = 0.3
    sequence: Annotated[Literal["sobol", "halton"], one_of("sobol", "halton")] = "sobol"
    scramble: Annotated[bool, truth()] = True
    points: Annotated[int, whole(1, 1000)] = 5
    shuffle: Annotated[bool, truth()] = True


def sampler_issues(
    sampler: Sampler, objectives: int | None, space: SearchSpace | None
) -> Iterator[SpecIssue]:
    """Samplers that cannot search what the sweep is about.

    Args:
        sampler: Sound in itself.
        objectives: How many there are, or None if that is not known.
        space: What is searched, or None if that is not known.
    """
    if sampler.type == "cma_es" and objectives is not None and objectives > 1:
        text = f"cma_es searches for one objective, but there are {objectives}"
        yield SpecIssue("sampler.type", text, "tpe, gp, nsga2 and nsga3 take several")
    if sampler.type == "cma_es" and sampler.population is not None and sampler.population < _LEAST_EVOLVING:
        text = f"got {sampler.population}, but cma_es needs a whole number of at least {_LEAST_EVOLVING}"
        yield SpecIssue("sampler.population", text, "without it the number of ranges decides")
    if sampler.type == "nsga3" and objectives == 1:
        text = "nsga3 spreads trials over several objectives, but there is one"
        yield SpecIssue("sampler.type", text, "nsga2 takes one as well")
    if sampler.type == "cma_es" and space is not None and not cma_ranges(space):
        text = "cma_es searches ranges, but the space has none that is there in every trial"
        yield SpecIssue("sampler.type", text, "tpe takes choices and conditions")


def most_trials(sampler: Sampler, space: SearchSpace) -> int | None:
    """How many different trials there can be; None: without end."""
    found = combinations(space, sampler.points if sampler.type == "grid" else None)
    return None if found is None else found.size


def cma_ranges(space: SearchSpace) -> list[FloatParameter | IntParameter]:
    """The parameters that CMA-ES searches: ranges with more than one value, without conditions."""
    return [
        parameter
        for parameter in space.parameters
        if not isinstance(parameter, CategoricalParameter) and not parameter.when and count_of(parameter) != 1
    ]
