"""What a plan says against made-up sweeps: trials of any cost, on any number of workers, up to any limit."""

import heapq
import random

from hypothesis import example, given, settings
from hypothesis import strategies as st

from sweeps.core.plan import Costs, Slots, Span
from sweeps.core.planning import STARTING_S, make_plan
from sweeps.forecast import passing
from sweeps.pruning.bounds import rung_bounds
from sweeps.testing import make_spec

NOW = 1_800_000_000.0
RUNGS = (75, 150, 300)
COSTS = Costs(Span(0.5, 1.0, 2.0), Span(5.0, 10.0, 20.0), Span(1.0, 2.0, 4.0), 10**9, "a test")


def within(span, share):
    return span.low + share * (span.high - span.low)


class Sweep:
    """Trials handed to whoever is free, then replicates, until all are done or a limit is reached.

    Each trial has the rung at which it ends, and where its costs lie within theirs; a replicate the latter.
    """

    def __init__(self, trials, replicates, workers, *, starting_s, end_s, gpu_s, gpus):
        self.worker_s, self.iterations, self.started = 0.0, 0.0, 0
        self.came = [0, 0, 0]
        free, self.end_s = [starting_s] * workers, starting_s
        pieces = []  # (begins, ends, place of the rung or None, iterations) of everything that is done
        for rungs, share in trials:
            at = heapq.heappop(free)
            pieces.append((at, at + within(COSTS.start_s, share), None, 0, True))
            at = pieces[-1][1]
            for place, (before, rung) in enumerate(zip((0, *RUNGS), RUNGS, strict=False)):
                if place >= rungs:
                    break
                taken = (rung - before) * within(COSTS.iteration_s, share)
                pieces.append((at, at + taken, None, rung - before, False))
                at += taken
                pieces.append((at, at + within(COSTS.evaluation_s, share), place, 0, False))
                at = pieces[-1][1]
            heapq.heappush(free, at)
        free = [max(free)] * workers
        for share in replicates:
            at = heapq.heappop(free)
            for taken, done in (
                (within(COSTS.start_s, share), 0),
                (RUNGS[-1] * within(COSTS.iteration_s, share), RUNGS[-1]),
                (within(COSTS.evaluation_s, share), 0),
            ):
                pieces.append((at, at + taken, None, done, False))
                at += taken
            heapq.heappush(free, at)
        last = min(end_s, max(end for _, end, *_ in pieces))
        if gpu_s is not None:
            last = min(last, self.when(pieces, gpu_s / gpus))
        for begin, end, place, done, first in pieces:
            if begin >= last:
                continue
            share = min(1.0, (last - begin) / max(1e-9, end - begin))
            self.worker_s += share * (end - begin)
            self.iterations += share * done
            self.started += first
            if place is not None and share == 1.0:
                self.came[place] += 1
        self.end_s = last

    @staticmethod
    def when(pieces, worker_s):
        """The moment at which so many worker seconds are spent."""
        moments = sorted({moment for begin, end, *_ in pieces for moment in (begin, end)})
        spent, before = 0.0, moments[0]
        for moment in moments[1:]:
            busy = sum(begin <= before and end >= moment for begin, end, *_ in pieces)
            if spent + busy * (moment - before) >= worker_s:
                return before + (worker_s - spent) / busy
            spent, before = spent + busy * (moment - before), moment
        return float("inf")


@settings(max_examples=300, deadline=None)
@given(
    trials=st.integers(1, 30),
    slots=st.integers(1, 6),
    hours=st.none() | st.floats(0.001, 5),
    minutes=st.none() | st.integers(1, 200),
    kind=st.sampled_from(["none", "successive_halving", "median", "hyperband"]),
    runs=st.integers(1, 3),
    seed=st.integers(0, 2**32),
)
@example(  # more replicates than trials
    trials=1, slots=2, hours=None, minutes=None, kind="none", runs=3, seed=907
)
def test_a_sweep_costs_what_its_plan_allows(*, trials, slots, hours, minutes, kind, runs, seed):
    chance, budget = random.Random(seed), {"trials": trials}
    if hours is not None:
        budget["gpu_hours"] = hours
    if minutes is not None:
        budget["wall"] = f"{minutes}m"
    spec = make_spec(budget=budget, pruner={"type": kind}, replicates={"runs": runs, "finalists": 2})
    plan = make_plan(spec, COSTS, passing(spec), Slots(slots, 0.5), trials=trials, kept=1, now=NOW)
    found = ends(chance, spec, trials)
    replicates = (runs - 1) * min(2, found.count(len(RUNGS)))
    sweep = Sweep(
        [(rungs, chance.choice([0.0, 1.0, chance.random()])) for rungs in found],
        [chance.choice([0.0, 1.0, chance.random()]) for _ in range(replicates)],
        slots,
        starting_s=chance.uniform(STARTING_S.low, STARTING_S.high),
        end_s=float("inf") if minutes is None else 60.0 * minutes,
        gpu_s=None if hours is None else hours * 3600,
        gpus=0.5,
    )

    def inside(value, span):
        return span.low - 1e-6 <= value <= span.high + 1e-6

    assert inside(sweep.worker_s / 3600, plan.worker_hours)
    assert inside(sweep.worker_s * 0.5 / 3600, plan.gpu_hours)
    assert inside(sweep.iterations, plan.iterations)
    assert inside(sweep.started, plan.trials)
    assert hours is not None or minutes is not None or inside(replicates, plan.replicates)
    assert inside(sweep.end_s, plan.wall_s)
    for came, span in zip(sweep.came, plan.per_rung.values(), strict=True):
        assert inside(came, span)


def ends(chance, spec, trials):
    """How many rungs each trial comes to: to each rung as many trials as its bounds allow, in any order."""
    counts = []
    for fewest, most in rung_bounds(spec, trials):
        most_here = min([most, *counts[-1:]])
        counts.append(chance.choice([fewest, most_here, chance.randint(fewest, most_here)]))
    found = [sum(place < count for count in counts) for place in range(counts[0])]
    chance.shuffle(found)
    return found
