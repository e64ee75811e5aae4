"""Whether a night's best takes a champion's place: decided from a difference and its bounds, in words."""

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from search_spaces.parameters import Value
from sweeps.core.budget import Goal
from sweeps.core.inference import InferenceSettings

CONFIDENCE = 0.95
"""Of a schedule whose rule names none."""

_BY_IMAGE = re.compile(r"(segm|bbox|boundary)/AP(50|75|s|m|l|-.+)?|segm/AP_.+(?<!_low)(?<!_high)")
"""Metrics that can be measured again on images drawn at random: AP in all its kinds."""


def unsupported(metric: str) -> str | None:
    """Why a real model cannot be judged by a metric, or None if it can."""
    if _BY_IMAGE.fullmatch(metric):
        return None
    return (
        f"{metric} cannot be measured again on images drawn at random: a champion's first objective has to be"
        " an AP of masks, boxes or boundaries"
    )


class Decision(StrEnum):
    """What was decided of a night's best."""

    FIRST = "FIRST"  # there was no champion, so that it is one
    PROMOTED = "PROMOTED"  # it is better at the stated confidence
    KEPT = "KEPT"  # it is not, or not surely: the champion stays
    NO_CANDIDATE = "NO_CANDIDATE"  # nothing was trained in full that keeps the constraints
    FAILED = "FAILED"  # the two cannot be compared: the champion stays

    @property
    def crowns(self) -> bool:
        """Whether the night's best is champion from now on."""
        return self in (Decision.FIRST, Decision.PROMOTED)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A candidate held against a champion, on the same images by the same evaluator.

    Attributes:
        metric: Name of `sweeps.core.metrics`.
        goal: Which way it is better.
        candidate: The candidate's value, the mean over its runs, in the metric's unit.
        champion: The champion's.
        low: One-sided lower bound of candidate minus champion; minus infinity if there is none.
        high: The upper one.
        confidence: Of each bound, 0.5 to 1: of nights that bring nothing better at most the rest is taken for
            better.
        images: Drawn from.
        candidates: Trials among which the candidate was the best on these images; the bounds allow for that.
        candidate_runs: Of the candidate, from 1.
        champion_runs: Of the champion, from 1.
    """

    metric: str
    goal: Goal
    candidate: float
    champion: float
    low: float
    high: float
    confidence: float
    images: int
    candidates: int
    candidate_runs: int = 1
    champion_runs: int = 1

    @property
    def lead(self) -> float:
        """By how much the candidate is better; negative if it is worse."""
        difference = self.candidate - self.champion
        return difference if self.goal is Goal.MAXIMIZE else -difference

    @property
    def at_least(self) -> float:
        """How much better it is at least, at the stated confidence."""
        return self.low if self.goal is Goal.MAXIMIZE else -self.high


def decide(comparison: Comparison) -> tuple[Decision, str]:
    """PROMOTED if the candidate is better at the stated confidence, else KEPT; and why, in a line."""
    lead, at_least = comparison.lead, comparison.at_least
    better = at_least > 0 and lead > 0
    values = f"{comparison.metric} {comparison.candidate:.4g} against {comparison.champion:.4g}"
    difference = comparison.candidate - comparison.champion
    sure = f"{comparison.confidence * 100:.4g}%"
    basis = f"over {_count(comparison.images, 'image')}, {_count(comparison.candidates, 'candidate')}"
    if comparison.candidate_runs > 1 or comparison.champion_runs > 1:
        basis += f", {comparison.candidate_runs} against {_count(comparison.champion_runs, 'run')}"
    bound = comparison.low if comparison.goal is Goal.MAXIMIZE else comparison.high
    if not math.isfinite(bound):
        return Decision.KEPT, f"{values}: {_signed(difference)}, how surely cannot be told {basis}"
    word = "at least" if comparison.goal is Goal.MAXIMIZE else "at most"
    told = f"{values}: {_signed(difference)}, {word} {_signed(bound)} at {sure} confidence {basis}"
    if better:
        return Decision.PROMOTED, told
    return Decision.KEPT, f"{told}; {'not better' if lead <= 0 else 'not surely better'}"


def _signed(value: float) -> str:
    """With its sign and three digits that count, so that a small difference is not told as none."""
    return "0" if value == 0 else f"{value:+.3g}"


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


@dataclass(frozen=True, slots=True)
class Portrait:
    """What a champion is, beside its files.

    Attributes:
        metric: What it was judged by: the first objective of its sweep.
        goal: Which way that is better.
        value: When it became champion, on the validation set of that night; the mean over its runs.
        runs: Of it that are kept and compared, from 1.
        params: Its training parameters, by knob.
        settings: How to read it, in use; None for a synthetic base.
        categories: What its classes are called, by class; empty for a synthetic base.
        fingerprint: Of the data that it was trained and validated on.
        iterations: Of its training.
    """

    metric: str
    goal: Goal
    value: float
    runs: int
    params: Mapping[str, Value]
    settings: InferenceSettings | None
    categories: tuple[str, ...]
    fingerprint: str
    iterations: int


def portrait_document(portrait: Portrait) -> dict[str, Any]:
    """The portrait as JSON holds it."""
    return asdict(portrait)


def portrait_from(document: Mapping[str, Any]) -> Portrait:
    """The inverse of `portrait_document`."""
    settings = document["settings"]
    return Portrait(
        **{
            **document,
            "goal": Goal(document["goal"]),
            "settings": None if settings is None else InferenceSettings(**settings),
            "categories": tuple(document["categories"]),
        }
    )


def comparison_document(comparison: Comparison) -> dict[str, Any]:
    """The comparison as JSON holds it, which has no infinity: a bound that is none is left out as null."""
    document = asdict(comparison)
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in document.items()
    }
