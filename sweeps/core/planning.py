"""What a sweep would cost, from what single trials cost and how many of them come to each rung."""

import math
from collections.abc import Iterator, Sequence
from functools import reduce
from itertools import pairwise

from sweeps.core.budget import limits_from
from sweeps.core.plan import GB, Costs, Limit, Plan, Slots, Span, exactly
from sweeps.core.spec import SweepSpec

STARTING_S = Span(2.0, 10.0, 45.0)
"""Seconds from the command until workers train: Ray starts, and they import what they need."""

BEAT_S = 10.0
"""Seconds after which a limit that is reached is seen at the latest, and workers are called in."""

TRIAL_CHECKPOINTS = 2
"""That a trial keeps, once it has so many."""

_ALL = exactly(1.0)
_HOUR = 3600.0


def make_plan(
    spec: SweepSpec,
    costs: Costs,
    passing: Sequence[Span],
    slots: Slots,
    *,
    trials: int,
    kept: int,
    now: float,
) -> Plan:
    """The plan of a sweep that starts now.

    The ends of its intervals hold if those of what it is given do, and no trial fails.

    Args:
        spec: Its spec.
        costs: Of its trials.
        passing: Of each rung, the share of all trials that come to it, 0 to 1, not rising.
        slots: What it runs on.
        trials: That it has without other limits, from 1 to the budget's: a space may have fewer to try.
        kept: Trials whose checkpoints are kept at the end.
        now: Seconds since the Unix epoch.
    """
    rungs = spec.fidelity.rungs
    mean_s, whole_s = _trial_s(costs, passing, rungs), _trial_s(costs, [_ALL] * len(rungs), rungs)
    replicates = _replicates(spec, passing[-1].scaled(trials))
    workers = min(slots.workers, max(trials, math.ceil(replicates.high)))
    all_s = mean_s.scaled(trials) + replicates * _trial_s(costs, [_ALL], rungs[-1:])
    all_iterations = _iterations(passing, rungs).scaled(trials) + replicates.scaled(rungs[-1])
    # The last trials are waited for twice where finalists come after them.
    tail_s = whole_s.high * (2 if replicates.high else 1)
    limits = tuple(_limits(spec, all_s, _wall(all_s, tail_s, workers), slots, now))
    late_s = workers * (BEAT_S + costs.iteration_s.high + costs.evaluation_s.high)
    caps = [_cap(limit, slots, workers, tail_s, late_s) for limit in limits]
    cap = reduce(Span.under, caps, exactly(math.inf))
    spent_s = all_s.under(cap)
    started = exactly(float(trials))
    per_rung, iterations = [share * started for share in passing], all_iterations
    if cap.low < all_s.high:
        started = _started(trials, mean_s, cap, workers)
        per_rung = [_cut(share, started, workers) for share in passing]
        done = min(1.0, cap.middle / max(all_s.middle, 1e-9))  # replicates come last
        replicates = Span(0.0, replicates.middle if done == 1 else 0.0, replicates.high)
        iterations = _iterations_within(cap, all_s, all_iterations, costs, rungs=rungs, workers=workers)
    wall = _wall(spent_s, tail_s, workers)
    for limit in limits:
        if limit.name != "gpu_hours":
            wall = wall.under(Span(limit.at, limit.at, limit.at + STARTING_S.high + late_s / workers))
    return Plan(
        trials=started,
        per_rung=dict(zip(rungs, per_rung, strict=True)),
        replicates=replicates,
        iterations=iterations,
        worker_hours=spent_s.scaled(1 / _HOUR),
        gpu_hours=spent_s.scaled((slots.gpus or 1.0) / _HOUR),
        wall_s=wall,
        disk_gb=_disk(costs, workers, kept) if costs.checkpoint_bytes else None,
        limited_by=_first(limits, "trials" if trials == spec.budget.trials else "space"),
        limits=limits,
    )


def _replicates(spec: SweepSpec, completed: Span) -> Span:
    """How many, of so many trials that complete; none of them may keep the constraints."""
    if spec.replicates is None:
        return exactly(0.0)
    places, more = float(spec.replicates.finalists), spec.replicates.runs - 1
    low = 0.0 if spec.constraints else min(places, completed.low)
    return Span(low, min(places, completed.middle), min(places, completed.high)).scaled(more)


def _iterations(passing: Sequence[Span], rungs: Sequence[int]) -> Span:
    """Of a trial, on average."""
    steps = (after - before for before, after in pairwise((0, *rungs)))
    return reduce(
        Span.__add__, (share.scaled(step) for share, step in zip(passing, steps, strict=True)), exactly(0.0)
    )


def _trial_s(costs: Costs, passing: Sequence[Span], rungs: Sequence[int]) -> Span:
    """Worker seconds of a trial, on average."""
    evaluations = reduce(Span.__add__, passing, exactly(0.0))
    return costs.start_s + _iterations(passing, rungs) * costs.iteration_s + evaluations * costs.evaluation_s


def _wall(worker_s: Span, tail_s: float, workers: int) -> Span:
    """Seconds from start to end. Some workers have nothing left to do in the tail (Graham's bound)."""
    shared = worker_s.scaled(1 / workers)
    return STARTING_S + Span(shared.low, shared.middle, shared.high + tail_s * (1 - 1 / workers))


def _limits(spec: SweepSpec, all_s: Span, wall_s: Span, slots: Slots, now: float) -> Iterator[Limit]:
    limits = limits_from(spec, now)
    if limits.gpu_s is not None and slots.gpus:  # without a GPU none of it is spent
        yield Limit("gpu_hours", limits.gpu_s / _HOUR, all_s.scaled(slots.gpus / _HOUR))
    if limits.wall_s is not None:
        yield Limit("wall", limits.wall_s, wall_s)
    if limits.deadline_at is not None:
        yield Limit("deadline", limits.deadline_at - now, wall_s)


def _first(limits: Sequence[Limit], otherwise: str) -> str:
    first = min(limits, key=lambda limit: limit.share, default=None)
    return first.name if first is not None and first.share < 1 else otherwise


def _cap(limit: Limit, slots: Slots, workers: int, tail_s: float, late_s: float) -> Span:
    """The worker seconds that a limit lets through.

    Args:
        limit: Which.
        slots: What there is.
        workers: Of which so many have something to do.
        tail_s: Seconds for which the last trials may be waited for.
        late_s: Worker seconds until all have heard of a limit.
    """
    if limit.name == "gpu_hours":
        worker_s = limit.at * _HOUR / slots.gpus
        return Span(worker_s, worker_s, worker_s + late_s)
    left = [max(0.0, limit.at - starting) for starting in (STARTING_S.high, STARTING_S.middle)]
    low = max(left[0], workers * left[0] - (workers - 1) * tail_s)
    return Span(low, max(low, workers * left[1]), workers * limit.at + late_s)


def _started(trials: int, mean_s: Span, cap: Span, workers: int) -> Span:
    """Trials that start before a cap on worker seconds: few if they are dear, many if they are cheap."""
    low = min(float(trials), max(1.0, cap.low // mean_s.high))
    high = min(float(trials), math.ceil(cap.high / max(mean_s.low, 1e-9)) + workers)
    return Span(low, min(high, max(low, round(cap.middle / max(mean_s.middle, 1e-9)))), high)


def _cut(share: Span, started: Span, workers: int) -> Span:
    """Trials that come to a rung before a cap. Those that pass may be the ones for which no time was left."""
    low = max(0.0, started.low - workers) if share.low == 1 else 0.0
    return Span(low, share.middle * started.middle, share.high * started.high)


def _iterations_within(
    cap: Span, all_s: Span, all_iterations: Span, costs: Costs, *, rungs: Sequence[int], workers: int
) -> Span:
    """Iterations before a cap on worker seconds."""
    to_rung = [_trial_s(costs, [_ALL] * place, rungs[:place]) for place in range(1, len(rungs) + 1)]
    dearest = max(cost.high / rung for cost, rung in zip(to_rung, rungs, strict=True))
    # A replicate is evaluated only once.
    cheapest = min(cost.low / rung for cost, rung in zip(to_rung, rungs, strict=True))
    cheapest = min(cheapest, _trial_s(costs, [_ALL], rungs[-1:]).low / rungs[-1])
    begun_s = workers * (costs.start_s.high + costs.evaluation_s.high)  # of trials that come to no rung
    low = min(all_iterations.low, max(0.0, cap.low - begun_s) / dearest)
    high = all_iterations.high
    if cap.high < all_s.high:
        high = min(high, cap.high / max(cheapest, 1e-9))
    middle = all_iterations.middle * min(1.0, cap.middle / max(all_s.middle, 1e-9))
    return Span(low, min(high, max(low, middle)), high)


def _disk(costs: Costs, workers: int, kept: int) -> Span:
    """At the end one checkpoint of the winner; before that those of what runs and of what may yet win."""
    one = costs.checkpoint_bytes / GB
    middle = TRIAL_CHECKPOINTS * workers + kept
    return Span(one, middle * one, (middle + workers) * one)  # each worker may be writing one
