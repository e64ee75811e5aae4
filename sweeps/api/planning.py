"""What a sweep would cost, as far as that is known without training."""

from sweeps.api.context import Core
from sweeps.api.models import PlanOut, SpanOut
from sweeps.api.submitting import Checked
from sweeps.core.keeping import places_of
from sweeps.core.plan import Costs, Slots, Span, exactly
from sweeps.core.planning import make_plan
from sweeps.forecast import passing, trials_of
from sweeps.history import LEAST_ATTEMPTS, costs_so_far

_UNKNOWN = Costs(exactly(0.0), exactly(0.0), exactly(0.0), 0, "nothing")


def plan_of(core: Core, checked: Checked, workers: int | None) -> PlanOut:
    """The plan of a spec without problems; its times are null where no earlier sweeps tell them.

    Args:
        core: Whose store holds the earlier sweeps.
        checked: The spec.
        workers: Trials at once; else the spec's `max_concurrent`, or 1.
    """
    spec, notes = checked.spec, list(checked.notes)
    costs = None
    if checked.preflight is not None:
        costs = costs_so_far(core.service, spec, checked.preflight.fingerprint)
    if costs is None:
        notes.append(
            f"times are not known: fewer than {LEAST_ATTEMPTS} trials of this data, base and fidelity have "
            "ended; limits of time are left out of account"
        )
    gpus = spec.resources.gpus_per_trial if checked.gpus is None else checked.gpus
    slots = Slots(workers or spec.resources.max_concurrent or 1, 1.0 if gpus is None else gpus)
    again = spec.replicates
    kept = places_of(spec) + (again.finalists if again and again.runs > 1 else 0)
    plan = make_plan(
        spec, costs or _UNKNOWN, passing(spec), slots, trials=trials_of(spec), kept=kept, now=core.now
    )
    known = costs is not None
    return PlanOut(
        trials=_span(plan.trials),
        per_rung={str(rung): _span(span) for rung, span in plan.per_rung.items()},
        iterations=_span(plan.iterations),
        replicates=_span(plan.replicates),
        worker_hours=_span(plan.worker_hours) if known else None,
        gpu_hours=_span(plan.gpu_hours) if known else None,
        wall_s=_span(plan.wall_s) if known else None,
        limited_by=plan.limited_by if known else None,
        basis=costs.basis if costs else None,
        workers=slots.workers,
        notes=notes,
    )


def _span(span: Span) -> SpanOut:
    return SpanOut(low=span.low, likely=span.middle, high=span.high)
