"""How good and how costly a configuration is at the end of its training: smooth, with a known optimum.

What is measured of masks falls off from its optimum as a Gaussian of a quadratic form: some knobs matter
much, most little, and neighbours in importance interact. Each metric has an optimum of its own, near that of
segm/AP, so that several objectives trade off. A choice shifts the value by an effect. Cost grows along every
knob of the model.
"""

import math
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from runners.curves.axes import draw, place, places, value_at
from runners.curves.chance import share
from search_spaces.parameters import CategoricalParameter, Parameter, Value
from search_spaces.space import SearchSpace
from sweeps.core.metrics import metric_named

MAIN = "segm/AP"
"""The metric whose optimum the others' lie around."""

TOPS: Mapping[str, float] = {
    "segm/AP": 60.0, "segm/AP50": 85.0, "segm/AP75": 64.0, "segm/APs": 42.0, "segm/APm": 62.0,
    "segm/APl": 72.0, "segm/AP_vtiny": 14.0, "segm/AP_tiny": 31.0, "segm/AP_small": 47.0,
    "boundary/AP": 44.0, "bbox/AP": 63.0,
}  # fmt: skip
"""Metrics of every evaluation -> the best value that a landscape has, in %."""

COSTS: Mapping[str, tuple[float, float]] = {
    "latency/ms_per_image": (25.0, 1.2), "latency/ms_per_image_p90": (29.0, 1.2),
    "memory/peak_mb": (300.0, 1.6), "model/parameters": (20.0, 0.9),
}  # fmt: skip
"""What a model costs: at the cheapest configuration, and the logarithm of how much more the dearest costs."""

_STEEPNESS = 1.3  # with it a configuration drawn at random has about two thirds of the best value
_DECAY = 0.6  # of importance, from knob to knob
_DRIFT = 0.15  # of a metric's optimum from the main one, as a share of the range
_EFFECTS = (0.05, 0.5)  # of a choice that is not the best one
_INTERVAL = {"_low": -4.0, "_high": 4.0}  # the ends of a size bin's interval, in points
_FREE = ("solver.", "augment.", "sampling.")  # what changes training only
_SAMPLE = 512  # configurations by which shares of the space are measured


@dataclass(frozen=True, slots=True)
class _Knob:
    """A parameter that has a choice.

    Attributes:
        weight: How much of the value depends on it; 1 for the most important.
        cost: How much of the cost depends on it; all together 1.
        effects: Of its choices, 0 for the best one; empty for a range.
    """

    parameter: Parameter
    weight: float
    cost: float
    effects: tuple[float, ...]

    @property
    def name(self) -> str:
        return self.parameter.name


class Landscape:
    """The values of configurations at full training, without noise.

    Args:
        space: What configurations may be.
        number: Which landscape.
        nans: Share of the space in which training diverges.
        out_of_memory: Share of the space whose models do not fit into memory.
    """

    def __init__(self, space: SearchSpace, number: int, *, nans: float, out_of_memory: float) -> None:
        self._space, self._number = space, number
        self._knobs = self._ranked_knobs()
        ranges = [knob for knob in self._knobs if not knob.effects]
        self._pairs = [
            (a.name, b.name, math.sqrt(a.weight * b.weight) * self._signed("pair", a.name, b.name))
            for a, b in pairwise(ranges)
        ]
        self._hazards = [knob.name for knob in ranges[:2]]
        self._optima: dict[str, Mapping[str, float]] = {}
        best = places(space, self.optimum())
        rng = random.Random(number)
        sample = [places(space, draw(space, rng)) for _ in range(_SAMPLE)]
        # The optimum can be trained, wherever the shares of the space end.
        self._nan_above = _quantile(map(self._hazard, sample), nans, self._hazard(best))
        self._full_above = _quantile(map(self._cost, sample), out_of_memory, self._cost(best))

    def optimum(self, metric: str = MAIN) -> dict[str, Value]:
        """The parameters at which what is measured of masks is at its best, on the grid of the space."""
        params: dict[str, Value] = {}
        effects = {knob.name: knob.effects for knob in self._knobs}
        for parameter in self._space.parameters:
            if not self._space.is_active(parameter, params):
                continue
            if isinstance(parameter, CategoricalParameter):
                shifts = effects.get(parameter.name, (0.0,))
                params[parameter.name] = parameter.choices[shifts.index(0.0)]
            else:
                params[parameter.name] = value_at(parameter, self._wanted(parameter, metric))
        return params

    def values(self, metrics: Iterable[str], params: Mapping[str, Value]) -> dict[str, float]:
        """Metrics at full training, each in its unit."""
        at = places(self._space, params)
        return {name: self._value(name, at) for name in metrics}

    def diverges(self, params: Mapping[str, Value]) -> bool:
        """Whether training diverges: the two ranges that matter most are far out, away from their optimum."""
        return self._hazard(places(self._space, params)) > self._nan_above

    def fits(self, params: Mapping[str, Value]) -> bool:
        """Whether the model fits into memory: the costliest do not."""
        return self._cost(places(self._space, params)) <= self._full_above

    def along(self, params: Mapping[str, Value], what: str) -> float:
        """A smooth property of a configuration that has nothing to do with its value, in (0, 1)."""
        at = places(self._space, params)
        sway = sum(self._signed(what, k.name) * (at[k.name] - 0.5) for k in self._knobs if k.name in at)
        return 0.5 + 0.5 * math.tanh(2 * sway + self._signed(what))

    def _value(self, metric: str, at: Mapping[str, float]) -> float:
        if metric in COSTS:
            low, growth = COSTS[metric]
            return low * math.exp(growth * self._cost(at))
        for end, shift in _INTERVAL.items():
            if metric.startswith("segm/AP_") and metric.endswith(end):
                return min(100.0, max(0.0, self._value(metric.removesuffix(end), at) + shift))
        top = TOPS.get(metric, 40 + 40 * self._share("top", metric))
        good = top * math.exp(-_STEEPNESS * self._loss(at, metric))
        known = metric_named(metric)
        if known is not None and known.unit == "0..1":
            return good / 100
        return 100 - good if known is not None and known.goal == "minimize" else good

    def _loss(self, at: Mapping[str, float], metric: str) -> float:
        best, off, total = self._best(metric), dict[str, float](), 0.0
        for knob in self._knobs:
            where = at.get(knob.name)
            if where is None:
                continue
            if knob.effects:
                total += knob.weight * knob.effects[round(where * (len(knob.effects) - 1))]
            else:
                off[knob.name] = where - best[knob.name]
                total += knob.weight * off[knob.name] ** 2
        return total + sum(w * off[a] * off[b] for a, b, w in self._pairs if a in off and b in off)

    def _best(self, metric: str) -> Mapping[str, float]:
        """Where each range is best, by name."""
        if metric not in self._optima:
            ranges = [knob.parameter for knob in self._knobs if not knob.effects]
            self._optima[metric] = {p.name: place(p, value_at(p, self._wanted(p, metric))) for p in ranges}
        return self._optima[metric]

    def _wanted(self, parameter: Parameter, metric: str) -> float:
        where = 0.2 + 0.6 * self._share("optimum", parameter.name)
        return where if metric == MAIN else where + _DRIFT * self._signed("optimum", parameter.name, metric)

    def _cost(self, at: Mapping[str, float]) -> float:
        """0 for the cheapest configuration, 1 for the dearest."""
        return sum(knob.cost * at.get(knob.name, 0.0) for knob in self._knobs)

    def _hazard(self, at: Mapping[str, float]) -> float:
        """How far out, on the side away from the optimum, the ranges are that training hangs on."""
        best = self._best(MAIN)
        return sum(
            (at[name] - best[name]) * (1 if best[name] < 0.5 else -1) for name in self._hazards if name in at
        )

    def _ranked_knobs(self) -> list[_Knob]:
        """The most important first."""
        free = [p for p in self._space.parameters if not _is_constant(p)]
        free.sort(key=lambda p: self._share("importance", p.name))
        costs = {p.name: self._share("cost", p.name) for p in free if not p.name.startswith(_FREE)}
        total = sum(costs.values())
        return [
            _Knob(p, _DECAY**rank, costs[p.name] / total if p.name in costs else 0.0, self._effects(p))
            for rank, p in enumerate(free)
        ]

    def _effects(self, parameter: Parameter) -> tuple[float, ...]:
        if not isinstance(parameter, CategoricalParameter):
            return ()
        best, (low, high) = int(self._share("best", parameter.name) * len(parameter.choices)), _EFFECTS
        return tuple(
            0.0 if index == best else low + (high - low) * self._share("effect", parameter.name, index)
            for index in range(len(parameter.choices))
        )

    def _share(self, *words: object) -> float:
        return share(self._number, *words)

    def _signed(self, *words: object) -> float:
        return 2 * self._share(*words) - 1


def _is_constant(parameter: Parameter) -> bool:
    if isinstance(parameter, CategoricalParameter):
        return len(parameter.choices) == 1
    return parameter.low == parameter.high


def _quantile(values: Iterable[float], beyond: float, best: float) -> float:
    """What a share `beyond` of the values lies above; at least `best`."""
    ascending = sorted(values)
    if not beyond:
        return math.inf
    return max(ascending[min(len(ascending) - 1, int((1 - beyond) * len(ascending)))], best)
