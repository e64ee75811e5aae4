"""What trials cost in earlier sweeps of the same data and base."""

from sweeps.core.plan import Costs, Span, span_of
from sweeps.core.replicates import repeat_of
from sweeps.core.spec import SweepSpec
from sweeps.core.states import AttemptState
from sweeps.service import SweepService

LEAST_ATTEMPTS = 3
"""That a plan rests on."""

_NOTHING = Span(0.0, 0.0, 0.0)


def costs_so_far(service: SweepService, spec: SweepSpec, fingerprint: str) -> Costs | None:
    """Worker seconds an iteration of the attempts that ended; None if there are too few.

    Starts and evaluations are in these seconds: sweeps count that have the same rungs, base and data.
    """
    seconds: list[float] = []
    sweeps = 0
    for sweep in service.sweeps():
        if sweep.fingerprint != fingerprint or sweep.spec.base != spec.base:
            continue
        if sweep.spec.fidelity != spec.fidelity:
            continue
        found = [
            attempt.worker_s / (attempt.iteration - attempt.start_iteration)
            for attempt in service.attempts(sweep.sweep_id)
            if attempt.state is AttemptState.ENDED
            and not repeat_of(attempt.number)  # evaluated less often
            and attempt.iteration > attempt.start_iteration
        ]
        seconds += found
        sweeps += bool(found)
    if len(seconds) < LEAST_ATTEMPTS:
        return None
    basis = f"{len(seconds)} trials of {sweeps} earlier sweep{'' if sweeps == 1 else 's'}"
    return Costs(span_of(seconds), _NOTHING, _NOTHING, 0, basis)
