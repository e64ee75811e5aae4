"""What was taken over into a sweep: plain data, its JSON, and how it is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search_spaces.parameters import Value
from sweeps.core.states import TrialState

_REASONS = 3


@dataclass(frozen=True, slots=True)
class Origin:
    """The trial of an earlier sweep."""

    sweep_id: str
    number: int

    def __str__(self) -> str:
        return f"{self.sweep_id}/{self.number}"


@dataclass(frozen=True, slots=True)
class KnownTrial:
    """A trial whose values count in the new sweep as they are.

    Attributes:
        origin: Whose they are.
        params: Active parameters, in the new space.
        state: COMPLETED, PRUNED or INFEASIBLE.
        readings: Iterations of rungs, ascending, with what was measured there of the new sweep's objectives
            and constraints.
    """

    origin: Origin
    params: Mapping[str, Value]
    state: TrialState
    readings: tuple[tuple[int, Mapping[str, float]], ...]

    @property
    def metrics(self) -> Mapping[str, float]:
        """Of the last measured rung; empty if there is none."""
        return self.readings[-1][1] if self.readings else {}


@dataclass(frozen=True, slots=True)
class Rerun:
    """Parameters that the new sweep tries first: its trial i is the i-th of them.

    Attributes:
        origin: Where they did well.
        params: As far as the earlier sweep had them; what else is active in the new space is drawn.
    """

    origin: Origin
    params: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class WarmSummary:
    """A warm start in short.

    Attributes:
        sources: Ids of the sweeps that trials were looked for in.
        known: How many trials of each source count as they are; sources without any are left out.
        reruns: The origins of the trials that are tried again, in order; trial i is the i-th.
        rerun_reasons: Why they could not be used as they are -> how many.
        unused: Why trials could not be used at all -> how many.
    """

    sources: tuple[str, ...]
    known: Mapping[str, int]
    reruns: tuple[Origin, ...]
    rerun_reasons: Mapping[str, int]
    unused: Mapping[str, int]

    def __str__(self) -> str:
        parts = []
        if self.known:
            count = sum(self.known.values())
            parts.append(f"{_trials(count)} known from {', '.join(self.known)}")
        if self.reruns:
            of = "" if self.known else f"{_trials(len(self.reruns)).removeprefix(str(len(self.reruns)))}"
            parts.append(f"{len(self.reruns)}{of} to re-run first{_because(self.rerun_reasons)}")
        if self.unused:
            parts.append(f"{sum(self.unused.values())} not usable{_because(self.unused)}")
        return ", ".join(parts) or f"no trials in {', '.join(self.sources)}"

    def origin_of(self, number: int) -> Origin | None:
        """Which trial a trial of the new sweep tries again, or None if it is the sampler's own."""
        return self.reruns[number] if number < len(self.reruns) else None


@dataclass(frozen=True, slots=True)
class WarmPlan:
    """All that a sweep takes over; empty, but for its summary, if nothing fits."""

    summary: WarmSummary
    known: tuple[KnownTrial, ...] = ()
    reruns: tuple[Rerun, ...] = ()


def summary_document(summary: WarmSummary) -> dict[str, Any]:
    """A summary as JSON."""
    return {
        "sources": list(summary.sources),
        "known": dict(summary.known),
        "reruns": [{"sweep_id": each.sweep_id, "number": each.number} for each in summary.reruns],
        "rerun_reasons": dict(summary.rerun_reasons),
        "not_usable": dict(summary.unused),
    }


def summary_from_document(document: Mapping[str, Any]) -> WarmSummary:
    """The inverse of `summary_document`."""
    return WarmSummary(
        sources=tuple(document["sources"]),
        known=document["known"],
        reruns=tuple(_origin(each) for each in document["reruns"]),
        rerun_reasons=document["rerun_reasons"],
        unused=document["not_usable"],
    )


def trials_document(plan: WarmPlan) -> dict[str, Any]:
    """The trials of a plan as JSON."""
    return {
        "known": [
            {
                "sweep_id": each.origin.sweep_id,
                "number": each.origin.number,
                "params": dict(each.params),
                "state": each.state.value,
                "readings": [[iteration, dict(metrics)] for iteration, metrics in each.readings],
            }
            for each in plan.known
        ],
        "reruns": [
            {
                "sweep_id": each.origin.sweep_id,
                "number": each.origin.number,
                "params": dict(each.params),
            }
            for each in plan.reruns
        ],
    }


def plan_from_documents(summary: Mapping[str, Any], trials: Mapping[str, Any]) -> WarmPlan:
    """The inverse of `summary_document` and `trials_document`."""
    return WarmPlan(
        summary=summary_from_document(summary),
        known=tuple(
            KnownTrial(
                _origin(each),
                each["params"],
                TrialState(each["state"]),
                tuple((iteration, metrics) for iteration, metrics in each["readings"]),
            )
            for each in trials["known"]
        ),
        reruns=tuple(Rerun(_origin(each), each["params"]) for each in trials["reruns"]),
    )


def _origin(document: Mapping[str, Any]) -> Origin:
    return Origin(document["sweep_id"], document["number"])


def _trials(count: int) -> str:
    return f"{count} trial{'s' if count != 1 else ''}"


def _because(reasons: Mapping[str, int]) -> str:
    """The most frequent reasons in parentheses, with how often each where there is more than one."""
    if not reasons:
        return ""
    if len(reasons) == 1:
        return f" ({next(iter(reasons))})"
    ordered: Sequence[tuple[str, int]] = sorted(reasons.items(), key=lambda each: -each[1])
    parts = [f"{count}: {reason}" for reason, count in ordered[:_REASONS]]
    if len(ordered) > _REASONS:
        parts.append(f"{sum(count for _, count in ordered[_REASONS:])}: other reasons")
    return f" ({'; '.join(parts)})"
