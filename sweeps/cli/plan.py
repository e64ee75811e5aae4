"""`masksweep plan`."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from search_spaces.corners import corners
from sweeps.bootstrap import open_service
from sweeps.cli.output import data, print_error, print_json, stdout_kept_clean, words
from sweeps.cli.progress_view import duration
from sweeps.cli.run import EXIT_OK, EXIT_USER, checked_spec
from sweeps.cli.warm import warm_plan, warm_words
from sweeps.core.errors import SpecInvalid, UserError
from sweeps.core.plan import GB, Costs, Plan, Probe, Slots, Span, make_plan, span_of
from sweeps.core.spec import SweepSpec
from sweeps.forecast import passing
from sweeps.history import LEAST_ATTEMPTS, costs_so_far
from sweeps.launchers.runner import load_runner
from sweeps.settings import Settings

MOST_POINTS = 64
"""Points of the space that a probe tries."""

_ITERATION = 1.25, 1.5
"""Iterations may be cheaper than the cheapest that was timed, and dearer where trials share a machine."""

_EVALUATION = 3.0, 1.5
"""A model that has just begun to train detects far more than a trained one."""


def plan_spec(
    path: Path, settings: Settings, *, as_json: bool, probe_s: float, workers: int | None = None
) -> int:
    """Says what a spec would cost; creates nothing.

    Args:
        path: The spec's file.
        settings: The home whose earlier sweeps are looked at; it need not exist.
        as_json: Print a JSON document.
        probe_s: Seconds of real training; 0 for none.
        workers: Trials at once; by default what this machine can take.

    Returns:
        The exit code: 0, or 2 for a mistake in the spec or its data.

    Raises:
        UserError: There is nothing to plan by.
    """
    runner = load_runner()
    try:
        spec, checked = checked_spec(runner, path, settings)
    except SpecInvalid as error:
        print_error(error, str(path))
        return EXIT_USER
    slots = runner.slots(spec)
    slots = Slots(workers or slots.workers, slots.gpus)
    past = None
    if settings.has_store:
        service = open_service(settings)
        past = costs_so_far(service, spec, checked.fingerprint)
        warm = warm_plan(service, spec, checked)
        for line in warm_words(warm, spec) if warm else ():
            words.print(line, markup=False)
    probe = None
    if probe_s > 0:
        points = corners(spec.space)[:MOST_POINTS]
        words.print(f"training for at most {probe_s:g} s to see what trials cost", markup=False)
        with stdout_kept_clean():
            probe = runner.probe(spec, points, probe_s)
    costs = _costs(past, probe)
    kept = 1
    plan = make_plan(spec, costs, passing(spec), slots, kept=kept, now=time.time())
    if as_json:
        print_json(plan_document(plan, costs, probe, slots))
    else:
        _print(spec, plan, costs, probe, slots)
    return EXIT_OK


def _costs(past: Costs | None, probe: Probe | None) -> Costs:
    """Measured in earlier sweeps where there are some, else by the probe."""
    timings = probe.timings if probe else ()
    size = max((timing.checkpoint_bytes for timing in timings), default=0)
    if past is not None:
        return Costs(past.iteration_s, past.evaluation_s, past.start_s, size, past.basis)
    if probe is None:
        raise UserError(
            f"there are not {LEAST_ATTEMPTS} trials of this data, base and fidelity to plan by",
            "leave --probe-seconds out: a few seconds of training will tell",
        )
    if not timings:
        reasons = "".join(f"; {each.reason}" for each in probe.infeasible[:1])
        raise UserError(f"the probe measured no point{reasons}", "give it more time with --probe-seconds 120")
    return Costs(
        _wider([timing.iteration_s for timing in timings], _ITERATION),
        _wider([timing.evaluation_s for timing in timings], _EVALUATION),
        _wider([timing.start_s for timing in timings], _ITERATION),
        size,
        f"a probe of {len(timings)} point{'' if len(timings) == 1 else 's'}",
    )


def _wider(values: Sequence[float], factors: tuple[float, float]) -> Span:
    span, (down, up) = span_of(values), factors
    return Span(span.low / down, span.middle, span.high * up)


def plan_document(plan: Plan, costs: Costs, probe: Probe | None, slots: Slots) -> dict[str, Any]:
    """A plan as the one JSON document that scripts read."""
    return {
        "trials": plan.trials,
        "per_rung": {str(rung): _ends(span, 1) for rung, span in plan.per_rung.items()},
        "iterations": round(plan.iterations.middle),
        "iterations_range": _ends(plan.iterations, 0),
        "gpu_hours": _ends(plan.gpu_hours, 6),
        "worker_hours": _ends(plan.worker_hours, 6),
        "wall_s": _ends(plan.wall_s, 1),
        "disk_gb": _ends(plan.disk_gb, 6) if plan.disk_gb else None,
        "peak_memory_gb": round(probe.peak_memory_bytes / GB, 3)
        if probe and probe.peak_memory_bytes
        else None,
        "infeasible": [
            {"params": dict(each.params), "reason": each.reason}
            for each in (probe.infeasible if probe else ())
        ],
        "corners": {"checked": probe.checked, "of": probe.points} if probe else None,
        "limited_by": plan.limited_by,
        "workers": slots.workers,
        "device": "gpu" if slots.gpus else "cpu",
        "basis": costs.basis,
    }


def _ends(span: Span, digits: int) -> dict[str, float]:
    return {"low": round(span.low, digits), "high": round(span.high, digits)}


def _print(spec: SweepSpec, plan: Plan, costs: Costs, probe: Probe | None, slots: Slots) -> None:
    table = Table(title=f"{spec.name}: what it would cost", show_header=False)
    table.add_column(style="bold")
    table.add_column()
    table.add_row("trials", f"{plan.trials} of {spec.budget.trials}, {slots.workers} at a time")
    for rung, span in plan.per_rung.items():
        table.add_row(f"  at {rung} iterations", _range(span, "{:.0f}"))
    table.add_row("iterations", _range(plan.iterations, "{:.0f}"))
    hours = "GPU-hours" if slots.gpus else "worker hours, no GPU here"
    table.add_row(hours, _range(plan.gpu_hours, "{:.3g}"))
    table.add_row("time", f"{duration(plan.wall_s.low)} to {duration(plan.wall_s.high)}")
    if plan.disk_gb:
        table.add_row("disk for checkpoints", _range(plan.disk_gb, "{:.2g}") + " GB")
    if probe and probe.peak_memory_bytes:
        table.add_row("peak memory of the largest", f"{probe.peak_memory_bytes / GB:.2f} GB")
    table.add_row("ended by", _end(plan))
    table.add_row("measured by", costs.basis)
    data.print(table)
    if probe is None:
        return
    words.print(f"{probe.checked} of {probe.points} corners of the space were tried", markup=False)
    for each in probe.infeasible:
        params = ", ".join(f"{name} {value}" for name, value in each.params.items())
        words.print(f"does not train: {params}: {each.reason}", markup=False)


def _end(plan: Plan) -> str:
    if plan.limited_by == "space":
        return "the space, which has no more combinations"
    if plan.limited_by == "trials":
        return "budget.trials"
    return f"budget.{plan.limited_by}, after about {100 * plan.share:.0f} % of the trials"


def _range(span: Span, form: str) -> str:
    low, high = form.format(span.low), form.format(span.high)
    return low if low == high else f"{low} to {high}"
