"""What there is to learn from a sweep's trials: all that samplers know, and the place where it is decided.

Everything here follows from the store's rows, whatever the order in which they came: a driver that restarts
knows what an undisturbed one does.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property
from statistics import median
from typing import Any, assert_never

from search_spaces.parameters import Value
from sweeps.core.ranking import bounds_of, excess, objectives_of, scores
from sweeps.core.spec import SweepSpec
from sweeps.core.states import TrialState

Scores = tuple[float, ...]
"""One finite value an objective, larger is better."""


class End(Enum):
    """How far a trial came, for a sampler."""

    OPEN = "open"  # it runs, or waits to go on
    WHOLE = "whole"  # measured at the last rung
    CUT = "cut"  # pruned on the way
    BAD = "bad"  # it cannot be trained, or not be measured: there is something to keep away from
    LOST = "lost"  # failed or cancelled, which says nothing about its parameters


@dataclass(frozen=True)
class Lesson:
    """A trial as samplers see it.

    Attributes:
        number: The trial's number.
        params: Its active parameters.
        attrs: What the sampler noted of it when it suggested it.
        end: How far it came.
        rungs: Rung's place, from 0 -> scores there, in ascending order; only where all were measured.
        final: Scores at the end, of a trial that is WHOLE.
        excess: By which share of its bound each constraint is broken at the end, 0 or less where it is kept.
            What was not measured breaks it by 1.
    """

    number: int
    params: Mapping[str, Value]
    attrs: Mapping[str, Any]
    end: End = End.OPEN
    rungs: Mapping[int, Scores] = field(default_factory=dict)
    final: Scores = ()
    excess: tuple[float, ...] = ()

    @cached_property
    def violation(self) -> float:
        """By how much constraints are broken in sum; infinite for what could not be measured."""
        return math.inf if self.end is End.BAD else sum(over for over in self.excess if over > 0)

    @cached_property
    def last(self) -> tuple[int, Scores] | None:
        """The last rung with scores, and these."""
        return max(self.rungs.items(), default=None)


class Lessons:
    """The lessons of a sweep so far, by trial number from 0 without a gap."""

    def __init__(self, spec: SweepSpec) -> None:
        self._objectives, self._bounds = objectives_of(spec), bounds_of(spec)
        self._rung_of = {iteration: rung for rung, iteration in enumerate(spec.fidelity.rungs)}
        self._all: list[Lesson] = []

    def __len__(self) -> int:
        return len(self._all)

    def __getitem__(self, number: int) -> Lesson:
        return self._all[number]

    def __iter__(self) -> Iterator[Lesson]:
        return iter(self._all)

    def begin(self, params: Mapping[str, Value], attrs: Mapping[str, Any]) -> None:
        """The next trial has its parameters."""
        self._all.append(Lesson(len(self._all), params, attrs))

    def measure(self, number: int, iteration: int, metrics: Mapping[str, float]) -> None:
        """Takes in what was measured first at a rung. Elsewhere, or without an objective, it says nothing."""
        rung, lesson = self._rung_of.get(iteration), self._all[number]
        got = scores(metrics, self._objectives)
        if rung is not None and got is not None and all(map(math.isfinite, got)):
            measured = dict(sorted({**lesson.rungs, rung: got}.items()))
            broken = lesson.excess
            if rung == max(measured):
                broken = tuple(excess(metrics, self._bounds, unmeasured=1.0))
            self._all[number] = replace(lesson, rungs=measured, excess=broken)

    def finish(self, number: int, state: TrialState, metrics: Mapping[str, float]) -> None:
        """Takes a trial's end in; `metrics` are those of its last measured rung."""
        got = scores(metrics, self._objectives)
        final = got if got is not None and all(map(math.isfinite, got)) else ()
        end = _end(state, bool(final))
        broken = tuple(excess(metrics, self._bounds, unmeasured=1.0)) if end in (End.WHOLE, End.CUT) else ()
        self._all[number] = replace(
            self._all[number], end=end, final=final if end is End.WHOLE else (), excess=broken
        )

    def taught(self) -> list[Lesson]:
        """Those of trials that ended and say something, by number."""
        return [each for each in self._all if each.end is not End.OPEN and each.end is not End.LOST]

    def measured(self) -> list[Lesson]:
        """Those that say something, of trials that ended and of those that passed a rung, by number."""
        told = (each for each in self._all if each.end is not End.LOST)
        return [each for each in told if each.rungs or each.end is not End.OPEN]

    def open(self) -> list[Lesson]:
        """Those of trials that may still say something, by number."""
        return [lesson for lesson in self._all if lesson.end is End.OPEN]

    def expected(self) -> Mapping[int, Scores]:
        """What each trial that was measured would have scored at the last rung, by number.

        A trial that was cut has gained from its rung on what those that were not cut gained, in the median.
        """
        whole = [lesson for lesson in self._all if lesson.end is End.WHOLE]
        gains: dict[int, Scores] = {}
        found: dict[int, Scores] = {}
        for lesson in self._all:
            if lesson.end is End.WHOLE:
                found[lesson.number] = lesson.final
            elif lesson.end is End.CUT and lesson.last is not None:
                rung, got = lesson.last
                if rung not in gains:
                    gains[rung] = _gain(whole, rung, len(got))
                found[lesson.number] = tuple(map(sum, zip(got, gains[rung], strict=True)))
        return found


def _gain(whole: Sequence[Lesson], rung: int, objectives: int) -> Scores:
    """By how much scores grew from a rung to the end, in the median; 0 where nothing is known."""
    grown = [
        [end - then for end, then in zip(lesson.final, lesson.rungs[rung], strict=True)]
        for lesson in whole
        if rung in lesson.rungs
    ]
    return tuple(median(column) for column in zip(*grown, strict=True)) if grown else (0.0,) * objectives


def _end(state: TrialState, measured: bool) -> End:
    match state:
        case TrialState.QUEUED | TrialState.RUNNING:
            return End.OPEN
        case TrialState.COMPLETED:
            return End.WHOLE if measured else End.BAD
        case TrialState.PRUNED:
            return End.CUT
        case TrialState.INFEASIBLE:
            return End.BAD
        case TrialState.FAILED | TrialState.CANCELLED:
            return End.LOST
        case _:
            assert_never(state)
