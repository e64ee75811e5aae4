"""`masksweep plan`."""

import time
from collections.abc import Sequence
from pathlib import Path

from search_spaces.corners import corners, extremes
from sweeps.bootstrap import open_service
from sweeps.cli.output import print_error, print_json, stdout_kept_clean, words
from sweeps.cli.plan_view import Planned, nothing_timed, plan_document, print_plan
from sweeps.cli.run import EXIT_INTERRUPTED, EXIT_OK, EXIT_USER, checked_spec
from sweeps.cli.warm import warm_plan, warm_words
from sweeps.core.errors import SpecInvalid, UserError
from sweeps.core.keeping import places_of
from sweeps.core.plan import Costs, Probe, Slots, Span, span_of
from sweeps.core.planning import make_plan
from sweeps.core.spec import SweepSpec
from sweeps.forecast import passing, trials_of
from sweeps.history import LEAST_ATTEMPTS, costs_so_far
from sweeps.launchers.runner import Runner, load_runner
from sweeps.settings import Settings

MOST_POINTS, MOST_TIMED = 64, 8
"""Points of the space that a probe tries, and times."""

_ITERATION = 1.25, 1.5
"""Iterations may be cheaper than the cheapest that was timed, and dearer where trials share a machine."""

_EVALUATION = 3.0, 1.5
"""The timed evaluations had as many detections as there can be; a trained model may have far fewer."""


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
        The exit code: 0, 2 for a mistake in the spec or its data, or 130 if it was interrupted.

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
    try:
        probe = _probe(runner, spec, probe_s) if probe_s > 0 else None
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    costs = _costs(past, probe, probe_s)
    trials, kept = trials_of(spec), _kept(spec)
    plan = make_plan(spec, costs, passing(spec), slots, trials=trials, kept=kept, now=time.time())
    planned = Planned(spec, plan, costs, probe, slots)
    if as_json:
        print_json(plan_document(planned))
    else:
        print_plan(planned)
    return EXIT_OK


def _kept(spec: SweepSpec) -> int:
    """Trials that keep a checkpoint once they have ended: the best, and the finalists until the end."""
    again = spec.replicates
    return places_of(spec) + (again.finalists if again and again.runs > 1 else 0)


def _probe(runner: Runner, spec: SweepSpec, seconds: float) -> Probe:
    points, timed = corners(spec.space)[:MOST_POINTS], len(extremes(spec.space)[:MOST_TIMED])
    words.print(f"training for at most {seconds:g} s to see what trials cost", markup=False)
    with stdout_kept_clean():
        return runner.probe(spec, points, timed=timed, seconds=seconds)


def _costs(past: Costs | None, probe: Probe | None, probe_s: float) -> Costs:
    """Measured in earlier sweeps where there are some, else by the probe."""
    timings = probe.timings if probe else ()
    size = max((timing.checkpoint_bytes for timing in timings), default=0)
    if past is not None:
        return Costs(
            past.iteration_s, past.evaluation_s, past.start_s, size or past.checkpoint_bytes, past.basis
        )
    if probe is None:
        raise UserError(
            f"there are not {LEAST_ATTEMPTS} trials of this data, base and fidelity to plan by",
            "leave --no-probe out: a few seconds of training will tell",
        )
    if not timings:
        raise nothing_timed(probe, probe_s)
    busy = min(timing.busy for timing in timings)
    return Costs(
        _wider([timing.iteration_s for timing in timings], _ITERATION, busy),
        _wider([timing.evaluation_s for timing in timings], _EVALUATION, busy),
        _wider([timing.start_s for timing in timings], _ITERATION, busy),
        size,
        f"a probe of {len(timings)} point{'' if len(timings) == 1 else 's'}",
    )


def _wider(values: Sequence[float], factors: tuple[float, float], busy: float) -> Span:
    """From less than the least to more than the greatest; what others took of the CPU may not be taken."""
    span, (down, up) = span_of(values), factors
    return Span(span.low * busy / down, span.middle, span.high * up)
