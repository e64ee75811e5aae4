"""Densities over parameters, made from the values of some trials: a Parzen estimator.

Each trial has a kernel, and so has the whole range. A kernel is a product over the parameters: a normal
distribution cut off at the ends of a range, in bins where it has steps, and a share of the choices.
Widths and weights are Optuna's (Watanabe, Tree-Structured Parzen Estimator, https://arxiv.org/abs/2304.11127).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log, pi

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from search_spaces.parameters import CategoricalParameter, FloatParameter, IntParameter, Parameter

Array = NDArray[np.float64]

_NEWEST = 25
"""So many trials weigh fully; older ones the less the older they are."""


class Density:
    """A density of parameters that are active together.

    Args:
        parameters: Those, each with more than one value.
        columns: Their values in trials, old ones first; of a choice its place. They may be empty.
        weights: Of the trials, above 0; None: the newest weigh alike, and older ones less.
    """

    def __init__(
        self, parameters: Sequence[Parameter], columns: Mapping[str, Array], weights: Array | None = None
    ) -> None:
        self._parameters = parameters
        trials = len(columns[parameters[0].name])
        given = np.append(_weights(trials) if weights is None else weights, 1.0)
        self._weights = given / given.sum()
        self._choices = {
            p.name: _shares(columns[p.name], len(p.choices))
            for p in parameters
            if isinstance(p, CategoricalParameter)
        }
        self._bells = {
            p.name: _bells(p, columns[p.name]) for p in parameters if not isinstance(p, CategoricalParameter)
        }

    def sample(self, rng: np.random.RandomState, size: int) -> dict[str, Array]:
        """So many draws of each parameter."""
        kernels = rng.choice(len(self._weights), p=self._weights, size=size)
        drawn: dict[str, Array] = {}
        for name, shares in self._choices.items():
            edges = np.cumsum(shares[kernels], axis=1)
            edges[:, -1] = 1.0  # whatever rounding made of it
            drawn[name] = (edges < rng.rand(size)[:, None]).sum(axis=1).astype(float)
        for name, bells in self._bells.items():
            drawn[name] = bells.sample(kernels, rng)
        return drawn

    def log_pdf(self, samples: Mapping[str, Array]) -> Array:
        """The density at some points, as a logarithm, up to a constant of the parameters."""
        total: Array = np.log(self._weights)[None, :]
        for name, shares in self._choices.items():
            total = total + np.log(shares).T[samples[name].astype(int)]
        for name, bells in self._bells.items():
            total = total + bells.log_pdf(samples[name])
        most = total.max(axis=1, keepdims=True)
        summed: Array = np.log(np.exp(total - most).sum(axis=1)) + most[:, 0]
        return summed


@dataclass(frozen=True, slots=True)
class _Bells:
    """Normal distributions over a range, one a kernel, each cut off at the range's ends.

    Attributes:
        log: Whether the range, `mean` and `width` are logarithms.
        low: Where the range begins; half a step before its first value if it has steps.
        high: Where it ends, in the same way.
        step: Between its values; 0 if there are no gaps.
        first: Its first value.
        last: Its last value.
        mean: Of each kernel, within the range.
        width: Standard deviation of each, above 0.
    """

    log: bool
    low: float
    high: float
    step: float
    first: float
    last: float
    mean: Array
    width: Array

    def sample(self, kernels: NDArray[np.int_], rng: np.random.RandomState) -> Array:
        """One value of each of some kernels."""
        mean, width = self.mean[kernels], self.width[kernels]
        below, above = ndtr((self.low - mean) / width), ndtr((self.high - mean) / width)
        at = mean + width * ndtri(below + rng.uniform(size=len(kernels)) * (above - below))
        value: Array = np.clip(at, self.low, self.high)
        value = np.exp(value) if self.log else value
        if self.step:
            value = self.first + np.round((value - self.first) / self.step) * self.step
        return np.clip(value, self.first, self.last)

    def log_pdf(self, values: Array) -> Array:
        """(values, kernels): the logarithm of each kernel's density, or of its mass in a value's bin."""
        if self.step:
            bins, place = np.unique(values, return_inverse=True)
            edges = np.stack([bins - self.step / 2, bins + self.step / 2])
            edges = np.log(edges) if self.log else edges
            means, where = np.unique(np.stack([self.mean, self.width]), axis=1, return_inverse=True)
            mass = _log_mass(*((edges[:, :, None] - means[0]) / means[1]))
            mass -= _log_mass((self.low - means[0]) / means[1], (self.high - means[0]) / means[1])
            found: Array = mass[np.ix_(place, where)]
            return found
        at = np.log(values) if self.log else values
        inside = _log_mass((self.low - self.mean) / self.width, (self.high - self.mean) / self.width)
        constant = -inside - np.log(self.width) - 0.5 * log(2 * pi)
        away = (at[:, None] - self.mean) / self.width
        away *= away
        away *= -0.5
        away += constant
        return away


def _bells(parameter: FloatParameter | IntParameter, column: Array) -> _Bells:
    step = float(parameter.step or 0)
    low, high = parameter.low - step / 2, parameter.high + step / 2
    if parameter.log:
        low, high, column = log(low), log(high), np.log(column)
    spread = high - low
    order = np.argsort(column)
    ends = np.concatenate([[low], column[order], [high]])
    gaps = np.diff(ends)
    widths = np.maximum(gaps[:-1], gaps[1:])
    if len(column) > 1:  # the ends of the range are no neighbours
        widths[0], widths[-1] = gaps[1], gaps[-2]
    least = spread / min(100.0, 2.0 + len(column))
    sigma = np.empty(len(column))
    sigma[order] = np.clip(widths, least, spread)
    return _Bells(
        log=parameter.log,
        low=low,
        high=high,
        step=step,
        first=float(parameter.low),
        last=float(parameter.high),
        mean=np.append(column, (low + high) / 2),
        width=np.append(sigma, spread),
    )


def _shares(column: Array, choices: int) -> Array:
    """(kernels, choices): what share each choice has of a kernel; rows sum to 1."""
    kernels = len(column) + 1
    shares = np.full((kernels, choices), 1 / kernels)
    shares[np.arange(len(column)), column.astype(int)] += 1
    summed: Array = shares / shares.sum(axis=1, keepdims=True)
    return summed


def _weights(trials: int) -> Array:
    if trials < _NEWEST:
        return np.ones(trials)
    return np.concatenate([np.linspace(1 / trials, 1.0, num=trials - _NEWEST), np.ones(_NEWEST)])


def _log_mass(left: Array, right: Array) -> Array:
    """The logarithm of a standard normal's mass between two points; -inf where that is too small."""
    flip = left > 0  # in the right tail, differences from 1 would lose all digits
    mass = np.where(flip, ndtr(-left), ndtr(right)) - np.where(flip, ndtr(-right), ndtr(left))
    with np.errstate(divide="ignore"):
        logarithm: Array = np.log(np.maximum(mass, 0.0))
    return logarithm
