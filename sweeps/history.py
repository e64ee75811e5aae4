"""What trials cost in earlier sweeps of the same data and base."""

import math
from pathlib import Path

from sweeps.core.plan import Costs, Span, exactly, span_of
from sweeps.core.replicates import repeat_of
from sweeps.core.spec import SweepSpec
from sweeps.core.states import AttemptState
from sweeps.records import SweepRecord
from sweeps.service import SweepService

LEAST_ATTEMPTS = 3
"""That a plan rests on."""

_NOTHING = exactly(0.0)


def costs_so_far(service: SweepService, spec: SweepSpec, fingerprint: str) -> Costs | None:
    """Worker seconds an iteration of the attempts that ended; None if there are too few.

    Starts and evaluations are in these seconds: sweeps count that have the same rungs, base and data, and of
    them the trials that this spec's space may have, too. Few trials say little of others: the interval is
    wider for them, by the factor 1 + 1 / sqrt(attempts).
    """
    seconds: list[float] = []
    sweeps, size = 0, 0
    for sweep in service.sweeps():
        if not _alike(sweep, spec, fingerprint):
            continue
        trials = {t.number: t for t in service.trials(sweep.sweep_id) if spec.space.contains(t.params)}
        found = [
            attempt.worker_s / (attempt.iteration - attempt.start_iteration)
            for attempt in service.attempts(sweep.sweep_id)
            if attempt.number in trials
            and attempt.state is AttemptState.ENDED
            and not repeat_of(attempt.number)  # evaluated less often
            and attempt.iteration > attempt.start_iteration
        ]
        seconds += found
        sweeps += bool(found)
        size = max([size, *(_size(trial.checkpoint) for trial in trials.values())])
    if len(seconds) < LEAST_ATTEMPTS:
        return None
    span, wider = span_of(seconds), 1 + 1 / math.sqrt(len(seconds))
    basis = f"{sweeps} earlier sweep{'' if sweeps == 1 else 's'} ({len(seconds)} attempts)"
    pace = Span(span.low / wider, span.middle, span.high * wider)
    return Costs(pace, _NOTHING, _NOTHING, size, basis)


def _alike(sweep: SweepRecord, spec: SweepSpec, fingerprint: str) -> bool:
    earlier = sweep.spec
    return (
        sweep.fingerprint == fingerprint
        and earlier.base == spec.base
        and earlier.fidelity == spec.fidelity
        and earlier.inference == spec.inference
    )


def _size(checkpoint: str | None) -> int:
    """Bytes of a checkpoint's files; 0 if it is gone."""
    try:
        return sum(path.stat().st_size for path in Path(checkpoint).iterdir()) if checkpoint else 0
    except OSError:
        return 0
