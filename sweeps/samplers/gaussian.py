"""Gaussian processes: Optuna's GP sampler, told of every trial that says something."""

import warnings
from collections.abc import Iterator, Mapping, Sequence

import optuna
from optuna.samplers import GPSampler
from optuna.trial import FrozenTrial, create_trial
from optuna.trial import TrialState as OptunaState

from search_spaces.parameters import Value
from search_spaces.positions import count_of
from search_spaces.space import SearchSpace
from sweeps.samplers.distributions import distribution_of
from sweeps.samplers.draws import TRIES, Draw
from sweeps.samplers.lessons import End, Lesson, Lessons, Scores
from sweeps.samplers.tpe import TpeDrawer


class GaussianDrawer:
    """Fits a process to each objective and constraint, and takes what promises the most improvement.

    It knows parameters without conditions; TPE gives a value to the others. What could not be measured counts
    as badly as the worst that could, and what was cut as it is expected to have ended.

    Args:
        space: What to search.
        lessons: Of the sweep.
        objectives: How many there are.
        startup: Trials that must have been measured before it learns; until then it draws at random.
        deterministic: Whether results are free of noise.
        others: Draws what a process does not know.
    """

    tries = TRIES

    def __init__(
        self,
        space: SearchSpace,
        lessons: Lessons,
        *,
        objectives: int,
        startup: int,
        deterministic: bool,
        others: TpeDrawer,
    ) -> None:
        self._lessons, self._objectives, self._others = lessons, objectives, others
        self._startup, self._deterministic = startup, deterministic
        known = [p for p in space.parameters if not p.when and count_of(p) != 1]
        self._distributions = {parameter.name: distribution_of(parameter) for parameter in known}

    def draws(self, seed: int) -> Iterator[Draw]:
        """The best that the processes know, and after that what TPE would draw."""
        expected = self._lessons.expected()
        if len(expected) >= self._startup and self._distributions:
            yield next(self._others.completions(self._best(expected, seed), seed))
        yield from self._others.draws(seed)

    def _best(self, expected: Mapping[int, Scores], seed: int) -> dict[str, Value]:
        worst = tuple(map(min, zip(*expected.values(), strict=True)))
        measured = [self._lessons[number] for number in expected]
        most = [max(1.0, *column) for column in zip(*(each.excess for each in measured), strict=True)]
        study = optuna.create_study(directions=["maximize"] * self._objectives)
        for lesson in self._lessons.taught():
            known = lesson.number in expected
            excess = lesson.excess if known else most
            study.add_trial(self._told(lesson, expected[lesson.number] if known else worst, excess))
        for lesson in self._lessons.open():
            study.add_trial(self._told(lesson))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.sampler = GPSampler(
                seed=seed,
                n_startup_trials=0,
                deterministic_objective=self._deterministic,
                warn_independent_sampling=False,
            )
        return dict(study.ask(self._distributions).params)

    def _told(self, lesson: Lesson, values: Scores = (), excess: Sequence[float] = ()) -> FrozenTrial:
        trial = create_trial(
            state=OptunaState.RUNNING if lesson.end is End.OPEN else OptunaState.COMPLETE,
            values=list(values) or None,
            params={name: lesson.params[name] for name in self._distributions},
            distributions=self._distributions,
        )
        for place, over in enumerate(excess):
            trial.set_constraint(str(place), over)
        return trial
