"""Whether a night's best takes a champion's place: decided from a difference and its bounds, in words."""

import math
from dataclasses import dataclass
from enum import StrEnum

from sweeps.core.budget import Goal

CONFIDENCE = 0.95
"""Of a schedule whose rule names none."""


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
