"""A plan as a JSON document, and as a table with what to do about it."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from search_spaces.parameters import Value, same_value
from sweeps.cli.output import data, words
from sweeps.cli.progress_view import duration
from sweeps.core.budget import BUDGET_INSTEAD, gpu_limit_note
from sweeps.core.errors import UserError
from sweeps.core.plan import GB, Costs, Limit, Plan, Probe, Slots, Span
from sweeps.core.spec import SweepSpec


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan with what it was made of; `probe` is None if there was none."""

    spec: SweepSpec
    plan: Plan
    costs: Costs
    probe: Probe | None
    slots: Slots


def plan_document(planned: Planned) -> dict[str, Any]:
    """A plan as the one JSON document that scripts read; what is not known is null."""
    plan, probe, slots = planned.plan, planned.probe, planned.slots
    return {
        "trials": round(plan.trials.middle),
        "iterations": round(plan.iterations.middle),
        "gpu_hours": _ends(plan.gpu_hours, 6),
        "infeasible": [
            {"params": dict(each.params), "reason": each.reason}
            for each in (probe.infeasible if probe else ())
        ],
        "per_rung": {str(rung): _ends(span, 1) for rung, span in plan.per_rung.items()},
        "trials_range": _ends(plan.trials, 0),
        "replicates": _ends(plan.replicates, 1),
        "iterations_range": _ends(plan.iterations, 0),
        "worker_hours": _ends(plan.worker_hours, 6),
        "wall_s": _ends(plan.wall_s, 1),
        "disk_gb": _ends(plan.disk_gb, 6) if plan.disk_gb else None,
        "expected": {
            "gpu_hours": round(plan.gpu_hours.middle, 6),
            "wall_s": round(plan.wall_s.middle, 1),
            "per_rung": {str(rung): round(span.middle, 1) for rung, span in plan.per_rung.items()},
        },
        "peak_memory_gb": _memory_gb(probe),
        "corners": {"checked": probe.checked, "of": probe.points} if probe else None,
        "limited_by": plan.limited_by,
        "limits": {
            limit.name: {"at": round(limit.at, 6), "need": _ends(limit.need, 6)} for limit in plan.limits
        },
        "workers": slots.workers,
        "device": "gpu" if slots.gpus else "cpu",
        "basis": planned.costs.basis,
        "notes": list(_notes(planned)),
    }


def print_plan(planned: Planned) -> None:
    """The table on stdout; what needs attention, and hints, on stderr."""
    data.print(plan_table(planned))
    probe = planned.probe
    if probe is not None:
        words.print(f"{probe.checked} of {probe.points} corners of the space were tried", markup=False)
        for line in infeasible_lines(probe):
            words.print(line, markup=False)
    for note in _notes(planned):
        words.print(f"note: {note}", markup=False)
    hints = list(plan_hints(planned))
    if hints:
        words.print()
    for hint in hints:
        words.print(f"hint: {hint}", markup=False)


def plan_table(planned: Planned) -> Table:
    """The plan for people."""
    plan, slots, budgeted = planned.plan, planned.slots, planned.spec.budget.trials
    table = Table(
        title=Text(f"{planned.spec.name}: what it would cost", style="table.title"),
        title_justify="left",
        show_header=True,
        box=None,
        padding=(0, 2, 0, 0),
    )
    for name in ("", "from", "to", "likely"):
        table.add_column(name, justify="left" if not name else "right", no_wrap=True)

    def row(name: str, span: Span, form: str, unit: str = "") -> None:
        cells = (f"{form.format(value)}{unit}" for value in (span.low, span.high, span.middle))
        table.add_row(Text(name), *cells)

    row(f"trials, of {budgeted}, {slots.workers} at a time", plan.trials, "{:.0f}")
    for rung, span in plan.per_rung.items():
        row(f"  evaluated at {rung} iterations", span, "{:.0f}")
    if planned.spec.replicates:
        row("replicates of finalists", plan.replicates, "{:.0f}")
    row("iterations", plan.iterations, "{:.0f}")
    hours = "GPU-hours" if slots.gpus else "worker hours (no GPU here)"
    row(hours, plan.gpu_hours, "{:.3g}")
    wall = plan.wall_s
    table.add_row("time", duration(wall.low), duration(wall.high), duration(wall.middle))
    if plan.disk_gb is not None:
        row("disk for checkpoints", plan.disk_gb, "{:.2g}", " GB")
    memory = _memory_gb(planned.probe)
    if memory is not None:
        table.add_row("peak memory of the largest", "", f"{memory:.2f} GB", "")
    table.add_row("ended by", "", "", _end(planned))
    table.add_row("measured by", "", "", planned.costs.basis)
    return table


def infeasible_lines(probe: Probe) -> Iterator[str]:
    """One for each reason, with what its corners have in common."""
    by_reason: dict[str, list[Mapping[str, Value]]] = {}
    for each in probe.infeasible:
        by_reason.setdefault(each.reason, []).append(each.params)
    for reason, points in by_reason.items():
        first, *others = points
        common = {
            name: value
            for name, value in first.items()
            if all(name in point and same_value(point[name], value) for point in others)
        }
        params = ", ".join(f"{name} {value}" for name, value in common.items())
        count = f" ({len(points)} corners)" if others else ""
        yield f"infeasible: {params or 'corners with nothing in common'}{count}: {reason}"


def nothing_timed(probe: Probe, seconds: float) -> UserError:
    """Why there is nothing to plan by: more time is what helps where it was too short, and there alone.

    Args:
        probe: One without timings.
        seconds: What it had.
    """
    reasons = Counter(each.reason for each in probe.infeasible).most_common()
    said = "; ".join(f"{count} x {reason}" if len(reasons) > 1 else reason for reason, count in reasons[:3])
    said += f"; {len(reasons) - 3} other reasons" if len(reasons) > 3 else ""
    all_of = f"none of the {probe.points} corners" if probe.points > 1 else "no point"
    if probe.infeasible and len(probe.infeasible) >= probe.points:
        hint = "change the base or the space: no time would be enough"
        return UserError(f"{all_of} of the space can be trained: {said}", hint)
    if probe.notes:
        more = f" (and {len(probe.notes) - 1} more)" if len(probe.notes) > 1 else ""
        hint = "trials would end like that: mend it, or plan again if it was chance"
        return UserError(f"no point of the space could be timed: {probe.notes[0]}{more}", hint)
    cannot = f": {len(probe.infeasible)} of {probe.points} cannot be trained ({said})" if said else ""
    hint = f"give it more time with --probe-seconds {max(120, 2 * seconds):g}"
    return UserError(f"no point of the space could be timed in {seconds:g} s{cannot}", hint)


def _notes(planned: Planned) -> Iterator[str]:
    """What a person should know, and need not mend."""
    if planned.probe:
        yield from planned.probe.notes
    hours, gpus = planned.spec.budget.gpu_hours, planned.slots.gpus
    if idle := gpu_limit_note("budget.gpu_hours", hours, gpus, BUDGET_INSTEAD):
        yield idle


def plan_hints(planned: Planned) -> Iterator[str]:
    """What to do about limits that come too soon."""
    for limit in planned.plan.limits:
        if limit.at < limit.need.middle:
            low, high = _amount(limit, limit.need.low), _amount(limit, limit.need.high)
            need = low if low == high else f"{low} to {high}"
            share = f"about {100 * limit.share:.0f} % of the trials"
            yield f"budget.{limit.name} comes after {share}; all of them need {need}"
        elif limit.at < limit.need.high:
            yield (
                f"budget.{limit.name} may come before the last trials; they need up to"
                f" {_amount(limit, limit.need.high)}"
            )
    if planned.plan.limited_by == "space":
        size = round(planned.plan.trials.high)
        yield f"the space has {size} combinations: more trials than that need a wider one"


def _amount(limit: Limit, value: float) -> str:
    return f"{value:.3g} GPU-hours" if limit.name == "gpu_hours" else duration(value)


def _end(planned: Planned) -> str:
    if planned.plan.limited_by == "space":
        return "the space, which has no more combinations"
    return f"budget.{planned.plan.limited_by}"


def _memory_gb(probe: Probe | None) -> float | None:
    return round(probe.peak_memory_bytes / GB, 3) if probe and probe.peak_memory_bytes else None


def _ends(span: Span, digits: int) -> dict[str, float]:
    return {"low": round(span.low, digits), "high": round(span.high, digits)}
