"""What a rule of early stopping is told and asked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from sweeps.core.details import EvaluationDetails
from sweeps.core.states import TrialState


@dataclass(frozen=True, slots=True)
class Reading:
    """What a trial's first evaluation at a rung gave.

    Attributes:
        number: The trial's number.
        rung: The rung's place, from 0.
        metrics: Finite values by name.
        details: What else the evaluation told, where that is at hand.
    """

    number: int
    rung: int
    metrics: Mapping[str, float]
    details: EvaluationDetails | None = None


class Rule(Protocol):
    """Decides from readings and ends alone: whatever their order was, the same ones give the same answer."""

    def take(self, reading: Reading) -> None:
        """Takes a reading in: one a trial and rung, the first."""

    def against(self, number: int, rung: int) -> str | None:
        """Why a running trial should stop at the rung that it was read at last, or None."""

    def end(self, number: int, state: TrialState, metrics: Mapping[str, float]) -> None:
        """Takes a trial's end in; `metrics` are those of its last measured rung."""


class NoRule:
    """Stops nothing, and so remembers nothing."""

    def take(self, reading: Reading) -> None:
        """Passes over it."""

    def against(self, number: int, rung: int) -> str | None:
        """Never a reason."""

    def end(self, number: int, state: TrialState, metrics: Mapping[str, float]) -> None:
        """Passes over it."""
