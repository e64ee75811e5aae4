"""Samplers by the names that specs give them."""

from typing import Literal, assert_never

from search_spaces.combinations import Combinations
from sweeps.core.spec import Sampler, SweepSpec
from sweeps.samplers.draws import Drawer
from sweeps.samplers.evolution import EvolutionDrawer
from sweeps.samplers.gaussian import GaussianDrawer
from sweeps.samplers.genetic import Breeding, GeneticDrawer
from sweeps.samplers.lessons import Lessons
from sweeps.samplers.plain import GridDrawer, QuasiRandomDrawer, RandomDrawer
from sweeps.samplers.tpe import TpeDrawer

_POPULATION = 10


def drawer_of(spec: SweepSpec, lessons: Lessons, seed: int) -> Drawer:
    """The spec's sampler.

    Args:
        spec: The sweep's.
        lessons: Kept up to date by whoever asks for draws.
        seed: The sweep's.
    """
    how, space, objectives = spec.sampler, spec.space, len(spec.objectives)
    match how.type:
        case "tpe":
            joint = objectives == 1 if how.multivariate == "auto" else how.multivariate
            return _tpe(spec, lessons, joint=joint)
        case "gp":
            return GaussianDrawer(
                space,
                lessons,
                objectives=objectives,
                startup=how.startup_trials,
                deterministic=how.deterministic,
                others=_tpe(spec, lessons, joint=False),
            )
        case "nsga2" | "nsga3":
            return GeneticDrawer(space, lessons, _breeding(how, how.type), objectives)
        case "cma_es":
            return EvolutionDrawer(
                space,
                lessons,
                startup=how.startup_trials,
                population=how.population,
                sigma=how.sigma,
                seed=seed,
                others=_tpe(spec, lessons, joint=False),
            )
        case "random" | "qmc" | "grid":
            return _plain(spec, lessons, seed)
        case _:
            assert_never(how.type)


def _plain(spec: SweepSpec, lessons: Lessons, seed: int) -> Drawer:
    how, space = spec.sampler, spec.space
    if how.type == "grid":
        return GridDrawer(Combinations(space, how.points), lessons, how.shuffle, seed)
    if how.type == "qmc":
        return QuasiRandomDrawer(space, lessons, how.sequence, how.scramble, seed)
    return RandomDrawer(space)


def _breeding(how: Sampler, kind: Literal["nsga2", "nsga3"]) -> Breeding:
    # the startup trials of NSGA-II are its first generation
    first = max(2, how.startup_trials) if kind == "nsga2" else _POPULATION
    return Breeding(
        kind=kind,
        population=how.population or first,
        crossover=how.crossover_probability,
        swap=how.swap_probability,
        mutation=how.mutation_probability,
        divisions=how.divisions,
    )


def _tpe(spec: SweepSpec, lessons: Lessons, *, joint: bool) -> TpeDrawer:
    how = spec.sampler
    return TpeDrawer(
        spec.space,
        lessons,
        objectives=len(spec.objectives),
        startup=spec.sampler.startup_trials,
        rungs=len(spec.fidelity.rungs) if how.type == "tpe" and how.learns_from == "rungs" else 0,
        candidates=spec.sampler.candidates,
        joint=joint,
        liar=spec.sampler.constant_liar,
    )
