"""Genetic algorithms: NSGA-II and NSGA-III, with parameters that are not always there.

A generation is bred from the best of the one before and of its parents, as Optuna selects them. A child takes
each parameter that is active in it from one of two parents that have it, and draws the others.
"""

import math
import random
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import optuna
from optuna.samplers import NSGAIIISampler, NSGAIISampler
from optuna.trial import create_trial

from search_spaces.parameters import CategoricalParameter, Parameter, Value
from search_spaces.positions import count_of, position_of, value_at
from search_spaces.space import SearchSpace
from sweeps.core.fronts import Standing, beats
from sweeps.samplers.draws import TRIES, Draw
from sweeps.samplers.lessons import Lesson, Lessons, Scores
from sweeps.samplers.plain import RandomDrawer

_LIKENESS = 5
"""Of children and parents (eta in the papers): low, as a sweep has few generations."""

_GENERATION, _PARENTS = "nsga:generation", "nsga:parents"


@dataclass(frozen=True, slots=True)
class Breeding:
    """How children come about; probabilities from 0 to 1.

    Attributes:
        kind: Who selects the parents.
        population: Trials of a generation that must be measured before the next, and parents that it has.
        crossover: That a child has two parents and not one.
        swap: That a parameter comes from the second of two.
        mutation: That a parameter is drawn anew; None: one of a child's, on average.
        divisions: Of each objective between the reference points of NSGA-III.
    """

    kind: Literal["nsga2", "nsga3"]
    population: int
    crossover: float
    swap: float
    mutation: float | None
    divisions: int


class GeneticDrawer:
    """Breeds trials; the first generation is drawn at random.

    Args:
        space: What to search.
        lessons: Of the sweep; each trial notes its generation, and the first of one its parents. A trial
            that noted none belongs to the first.
        breeding: How.
        objectives: How many there are.
    """

    tries = TRIES

    def __init__(self, space: SearchSpace, lessons: Lessons, breeding: Breeding, objectives: int) -> None:
        self._space, self._lessons, self._how, self._objectives = space, lessons, breeding, objectives

    def draws(self, seed: int) -> Iterator[Draw]:
        """Without end."""
        expected = self._lessons.expected()
        newest = max((_generation(lesson) for lesson in self._lessons), default=0)
        notes: dict[str, Any] = {_GENERATION: newest}
        measured = [lesson for lesson in self._of(newest) if lesson.number in expected]
        if len(measured) >= self._how.population:
            pool = sorted({*(lesson.number for lesson in measured), *self._parents(newest)})
            parents = self._selected([self._lessons[number] for number in pool], expected, seed)
            notes = {_GENERATION: newest + 1, _PARENTS: parents}
        elif newest == 0:
            for draw in RandomDrawer(self._space).draws(seed):
                yield Draw(draw.params, notes)
        else:
            parents = self._parents(newest)
        rng, adults = random.Random(seed), [self._lessons[number] for number in parents]
        standings = {adult.number: Standing(adult.violation, expected[adult.number]) for adult in adults}
        while True:
            yield Draw(self._child(adults, standings, rng), notes)

    def _of(self, generation: int) -> list[Lesson]:
        return [lesson for lesson in self._lessons if _generation(lesson) == generation]

    def _parents(self, generation: int) -> list[int]:
        noted = (lesson.attrs.get(_PARENTS) for lesson in self._of(generation))
        return next((parents for parents in noted if parents), [])

    def _selected(self, pool: Sequence[Lesson], expected: Mapping[int, Scores], seed: int) -> list[int]:
        """Those who survive, by Optuna's selection."""
        sampler = self._sampler(seed)
        study = optuna.create_study(directions=["maximize"] * self._objectives, sampler=sampler)
        for lesson in pool:
            mark = {f"{type(sampler).__name__}:generation": 0}
            trial = create_trial(values=list(expected[lesson.number]), system_attrs=mark)
            for place, over in enumerate(lesson.excess):
                trial.set_constraint(str(place), over)
            study.add_trial(trial)
        return sorted(pool[chosen.number].number for chosen in sampler.select_parent(study, 1))

    def _sampler(self, seed: int) -> NSGAIISampler | NSGAIIISampler:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            if self._how.kind == "nsga2":
                return NSGAIISampler(population_size=self._how.population, seed=seed)
            return NSGAIIISampler(
                population_size=self._how.population, seed=seed, dividing_parameter=self._how.divisions
            )

    def _child(
        self, adults: Sequence[Lesson], standings: Mapping[int, Standing], rng: random.Random
    ) -> dict[str, Value]:
        first = _winner(adults, standings, rng)
        second = _winner(adults, standings, rng) if rng.random() < self._how.crossover else first
        varied = sum(count_of(p) != 1 for p in self._space.parameters if p.name in first.params)
        mutation = 1 / max(1, varied) if self._how.mutation is None else self._how.mutation
        child: dict[str, Value] = {}
        for parameter in self._space.parameters:
            if self._space.is_active(parameter, child):
                child[parameter.name] = self._gene(parameter, first, second, mutation, rng)
        return child

    def _gene(
        self, parameter: Parameter, first: Lesson, second: Lesson, mutation: float, rng: random.Random
    ) -> Value:
        """A value from the parents; changed, or drawn anew where neither has one."""
        swapped, mutated = rng.random() < self._how.swap, rng.random() < mutation
        having = [adult.params[parameter.name] for adult in (first, second) if parameter.name in adult.params]
        if not having or (mutated and isinstance(parameter, CategoricalParameter)):
            return value_at(parameter, rng.random())
        value, other = (having[-1], having[0]) if swapped else (having[0], having[-1])
        same = value == other and not mutated
        if same or isinstance(parameter, CategoricalParameter) or count_of(parameter) == 1:
            return value
        at = blended(position_of(parameter, value), position_of(parameter, other), rng.random())
        return value_at(parameter, moved(at, rng.random()) if mutated else at)


def blended(near: float, far: float, chance: float) -> float:
    """A position like `near`, at a distance that goes with how far apart two parents are.

    Simulated binary crossover (Deb and Agrawal, Complex Systems 9, 1995), kept within 0 to 1.
    """
    spread = 2 * chance if chance <= 0.5 else 1 / (2 * (1 - chance))
    share = math.pow(spread, 1 / (_LIKENESS + 1))
    return min(max(((1 + share) * near + (1 - share) * far) / 2, 0.0), 1.0)


def moved(at: float, chance: float) -> float:
    """A position not far from another, within 0 to 1: polynomial mutation (Deb and Goyal, 1996)."""
    power = 1 / (_LIKENESS + 1)
    if chance < 0.5:
        return at - at * (1 - math.pow(2 * chance, power))
    return at + (1 - at) * (1 - math.pow(2 * (1 - chance), power))


def _generation(lesson: Lesson) -> int:
    generation: int = lesson.attrs.get(_GENERATION, 0)
    return generation


def _winner(adults: Sequence[Lesson], standings: Mapping[int, Standing], rng: random.Random) -> Lesson:
    """The better of two adults drawn at random."""
    one, other = rng.choice(adults), rng.choice(adults)
    return other if beats(standings[other.number], standings[one.number]) else one
