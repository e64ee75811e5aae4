"""What trials of a synthetic base give: learning curves up to a landscape, noise, and planted trouble."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runners.curves.chance import normal, share
from runners.curves.landscape import COSTS, MAIN, TOPS, Landscape
from search_spaces.parameters import Value
from search_spaces.space import SearchSpace
from sweeps.core.details import ImageScores
from sweeps.core.metrics import metric_named
from sweeps.core.spec import BaseSpec, SweepSpec
from sweeps.core.trial import FailureKind

VERSION = 1
"""Of the functions here: results of different versions cannot be compared."""

IMAGES = 40
"""How many images the validation set would have."""

Params = Mapping[str, Value]

_RATES = (10.0, 30.0)  # of learning: how many times faster than linear a curve begins, about
_LATEST_START = 0.05  # share of the training in which a curve may stay at nothing
_PLATEAU = 0.2  # share of the training that a plateau takes
_PLATEAUS = 0.3  # property above which a configuration has one
_OWN_LUCK = 0.7  # how much of the noise is the trial's own, at every rung; the rest is the rung's
_COST_NOISE = 0.01  # of times that are measured


@dataclass(frozen=True, slots=True)
class Trouble:
    """How an attempt ends without a result: after so many iterations, in which way, in a line."""

    iteration: int
    kind: FailureKind
    message: str


@dataclass(frozen=True, slots=True)
class _Scale:
    """What a metric counts up to from 0, and whether more is better."""

    end: float
    grows: bool


class Objective:
    """The analytic objective of a sweep.

    At full training a configuration has its landscape's value, and on the way there a share of it: a power
    law with a rate, a late start and perhaps a plateau of the configuration's own, so that curves cross.

    Args:
        base: With `synthetic` and its options set.
        space: What configurations may be.
        iterations: Of a full training.
        metrics: Names to measure beyond the standard ones.
    """

    def __init__(
        self, base: BaseSpec, space: SearchSpace, *, iterations: int, metrics: Sequence[str] = ()
    ) -> None:
        self._landscape_number = base.landscape or 0
        self._noise, self._crashes = base.noise or 0.0, base.crashes or 0.0
        self._iterations = iterations
        self._metrics = {name: _scale(name) for name in (*TOPS, *COSTS, *metrics)}
        self.landscape = Landscape(
            space, self._landscape_number, nans=base.nans or 0.0, out_of_memory=base.out_of_memory or 0.0
        )

    @classmethod
    def of(cls, spec: SweepSpec) -> "Objective":
        """The objective of a spec whose base is synthetic."""
        judged_by = [*(o.metric for o in spec.objectives), *(c.metric for c in spec.constraints)]
        return cls(spec.base, spec.space, iterations=spec.fidelity.iterations, metrics=judged_by)

    def progress(self, params: Params, iteration: int) -> float:
        """The share of its final value that a configuration has after so many iterations, 0 to 1."""
        done = min(1.0, iteration / self._iterations)
        late = _LATEST_START * self.landscape.along(params, "start")
        done = max(0.0, (done - late) / (1 - late))
        if self.landscape.along(params, "plateau") > 1 - _PLATEAUS:
            begin = 0.2 + 0.4 * self.landscape.along(params, "plateau begins")
            done = _with_plateau(done, begin, begin + _PLATEAU)
        low, high = _RATES
        rate = low * math.pow(high / low, self.landscape.along(params, "rate"))
        return (1 - 1 / (1 + rate * done)) * (1 + 1 / rate)

    def metrics(self, params: Params, seed: int, iteration: int) -> dict[str, float]:
        """What an evaluation measures after so many iterations of the trial with that seed."""
        progress = self.progress(params, iteration)
        measured = self.landscape.values(self._metrics, params)
        for name, final in measured.items():
            if name in COSTS:
                wobble = 0.0 if name == "model/parameters" else _COST_NOISE * normal(seed, iteration, name)
                measured[name] = final * math.exp(wobble)
            else:
                measured[name] = self._noisy(name, self._on_the_way(name, final, progress), seed, iteration)
        return measured

    def images(self, params: Params, seed: int, iteration: int) -> ImageScores:
        """How well each image of the validation set is segmented: the same ones are hard for all trials."""
        mean = self.metrics(params, seed, iteration)[MAIN]
        ids = tuple(range(1, IMAGES + 1))
        scores = (
            mean
            + 15 * normal(self._landscape_number, "difficulty", image)
            + 3 * self._noise * normal(seed, iteration, "image", image)
            for image in ids
        )
        return ImageScores(ids, tuple(round(min(100.0, max(0.0, score)), 3) for score in scores))

    def image_values(self, metric: str, params: Params, seed: int, iteration: int) -> tuple[float, ...]:
        """A metric's share of each image, IMAGES of them, whose mean is what an evaluation measures.

        As with real images some are hard for all trials, and a trial has some luck with each.

        Raises:
            ValueError: It is no metric, or the parameters are not of this space.
        """
        try:
            mean = self.metrics(params, seed, iteration)[metric]
        except KeyError as error:
            raise ValueError(f"not measured here: {error.args[0]}") from error
        unit = self._metrics[metric].end / 100 if metric not in COSTS else mean / 100
        images = range(1, IMAGES + 1)
        offsets = [
            15 * normal(self._landscape_number, "difficulty", image)
            + 3 * self._noise * normal(seed, iteration, metric, "image", image)
            for image in images
        ]
        middle = sum(offsets) / IMAGES
        return tuple(mean + unit * (offset - middle) for offset in offsets)

    def loss(self, params: Params, seed: int, iteration: int) -> float:
        """The training loss after so many iterations."""
        (final,) = self.landscape.values([MAIN], params).values()
        left = 1 - final * self.progress(params, iteration) / 100
        return left * math.exp(0.02 * normal(seed, iteration, "loss"))

    def trouble(self, params: Params, seed: int, attempt: int) -> Trouble | None:
        """What ends an attempt early, if anything does. Only crashes are not the same for every attempt."""
        if not self.landscape.fits(params):
            return Trouble(0, FailureKind.OUT_OF_MEMORY, "planted: the model does not fit into memory")
        found = []
        if self.landscape.diverges(params):
            at = self._moment(0.02, 0.5, share("diverges", *sorted(params.items())))
            found.append(Trouble(at, FailureKind.DIVERGED, f"planted: the loss is NaN at iteration {at}"))
        if share(seed, attempt, "crashes") < self._crashes:
            at = self._moment(0.0, 1.0, share(seed, attempt, "crash"))
            if share(seed, attempt, "kind") < 0.5:
                found.append(Trouble(at, FailureKind.LOST, "planted: the worker ends"))
            else:
                found.append(Trouble(at, FailureKind.ERROR, f"planted: an error at iteration {at}"))
        return min(found, key=lambda trouble: trouble.iteration, default=None)

    def _moment(self, low: float, high: float, where: float) -> int:
        return max(1, math.ceil(self._iterations * (low + (high - low) * where)))

    def _on_the_way(self, name: str, final: float, progress: float) -> float:
        """What is to be maximized grows from 0, what is to be minimized falls from the other end."""
        start = 0.0 if self._metrics[name].grows else self._metrics[name].end
        return start + (final - start) * progress

    def _noisy(self, name: str, value: float, seed: int, iteration: int) -> float:
        own, other, end = _OWN_LUCK, math.sqrt(1 - _OWN_LUCK**2), self._metrics[name].end
        luck = own * normal(seed, name) + other * normal(seed, iteration, name)
        return min(end, max(0.0, value + self._noise * luck * end / 100))


def fingerprint(base: BaseSpec) -> str:
    """SHA-256 in hex of what decides the values of a synthetic base: equal ones can be compared."""
    values = (base.synthetic, VERSION, base.landscape, base.noise, base.nans, base.out_of_memory)
    return hashlib.sha256("|".join(map(str, values)).encode()).hexdigest()


def _with_plateau(done: float, begin: float, end: float) -> float:
    """Training time that stands still between two moments, and catches up until the end."""
    if done <= begin:
        return done
    return begin if done <= end else begin + (done - end) * (1 - begin) / (1 - end)


def _scale(name: str) -> _Scale:
    known = metric_named(name)
    if known is None:
        raise ValueError(f"{name} is not a metric")
    return _Scale(1.0 if known.unit == "0..1" else 100.0, known.goal != "minimize")
