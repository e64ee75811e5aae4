"""What a sweep would cost, from what single trials cost and how many of them pass each rung."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from search_spaces.parameters import Value
from sweeps.core.budget import limits_from
from sweeps.core.sampler import most_trials
from sweeps.core.spec import SweepSpec

GB = 1e9


@dataclass(frozen=True, slots=True)
class Span:
    """An estimate: `low` to `high`, with `middle` between them."""

    low: float
    middle: float
    high: float

    def __post_init__(self) -> None:
        if not self.low <= self.middle <= self.high:
            raise ValueError(f"low <= middle <= high must hold, but got {self}")

    def scaled(self, factor: float) -> "Span":
        """The span in another unit."""
        return Span(self.low * factor, self.middle * factor, self.high * factor)

    def below(self, most: float) -> "Span":
        """The span under a bound."""
        return Span(min(self.low, most), min(self.middle, most), min(self.high, most))


def span_of(values: Sequence[float]) -> Span:
    """From the least to the greatest of some values, around their median.

    Raises:
        ValueError: There are none.
    """
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no values")
    return Span(ordered[0], ordered[len(ordered) // 2], ordered[-1])


@dataclass(frozen=True, slots=True)
class Costs:
    """What a trial costs in worker time.

    Attributes:
        iteration_s: Seconds an iteration of training, with what is written on the way.
        evaluation_s: Seconds an evaluation at a rung.
        start_s: Seconds from an assignment to the first iteration.
        checkpoint_bytes: Of one checkpoint of the largest model; 0 if it is not known.
        basis: Where this comes from, for people.
    """

    iteration_s: Span
    evaluation_s: Span
    start_s: Span
    checkpoint_bytes: int
    basis: str


@dataclass(frozen=True, slots=True)
class Slots:
    """What there is to run on.

    Attributes:
        workers: Trials at a time.
        gpus: Share of a GPU that a trial holds; 0 trains on a CPU.
    """

    workers: int
    gpus: float


@dataclass(frozen=True, slots=True)
class Timing:
    """What a point of the space costs, as measured: times in seconds."""

    params: Mapping[str, Value]
    iteration_s: float
    evaluation_s: float
    start_s: float
    checkpoint_bytes: int


@dataclass(frozen=True, slots=True)
class Infeasible:
    """A point of the space that cannot be trained, and why."""

    params: Mapping[str, Value]
    reason: str


@dataclass(frozen=True, slots=True)
class Probe:
    """What a few moments of real training told.

    Attributes:
        timings: Of some points; empty if there was no time for one.
        infeasible: Points that cannot be trained.
        checked: How many points were tried.
        points: How many there were to try.
        peak_memory_bytes: Of the largest model in training: on a GPU what torch took of it, else the
            worker's whole process. None if it was not trained.
    """

    timings: tuple[Timing, ...]
    infeasible: tuple[Infeasible, ...]
    checked: int
    points: int
    peak_memory_bytes: int | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a sweep would cost.

    Attributes:
        trials: How many fit into the budget.
        per_rung: Iterations of each rung -> trials that come to it.
        iterations: Of all trials.
        worker_hours: Of all trials, start and evaluations included.
        gpu_hours: Worker hours times the share of a device; where there is no GPU a worker counts as one.
        wall_s: Seconds from start to end.
        disk_gb: Checkpoints at any one time, in 10**9 bytes; None if their size is not known.
        limited_by: What ends it: `trials`, `gpu_hours`, `wall` or `deadline` of the budget, or `space` where
            there are fewer combinations than trials.
        share: Of `budget.trials`, how much fits: 1 if `limited_by` is `trials`.
    """

    trials: int
    per_rung: Mapping[int, Span]
    iterations: Span
    worker_hours: Span
    gpu_hours: Span
    wall_s: Span
    disk_gb: Span | None
    limited_by: str
    share: float


def make_plan(
    spec: SweepSpec, costs: Costs, passing: Sequence[Span], slots: Slots, *, kept: int, now: float
) -> Plan:
    """The plan of a sweep that starts now.

    Args:
        spec: Its spec.
        costs: Of its trials.
        passing: Of each rung, the share of all trials that come to it, 0 to 1, not rising.
        slots: What it runs on.
        kept: Trials whose checkpoints are kept at the end.
        now: Seconds since the Unix epoch.
    """
    trials = min(spec.budget.trials, most_trials(spec.sampler, spec.space) or spec.budget.trials)
    rungs = spec.fidelity.rungs
    worker_s = _total(costs, passing, rungs, trials)
    full_s = costs.start_s.high + rungs[-1] * costs.iteration_s.high + len(rungs) * costs.evaluation_s.high
    share, limited_by = _fitting(spec, worker_s.middle, slots, now)
    if limited_by == "trials" and trials < spec.budget.trials:
        share, limited_by = trials / spec.budget.trials, "space"
    done = trials if limited_by == "space" else max(1, round(trials * share))
    part = done / trials
    spent = worker_s.scaled(part)
    stretch_s = max(b - a for a, b in zip((0, *rungs), rungs, strict=False)) * costs.iteration_s.high
    overshoot_s = slots.workers * (stretch_s + costs.evaluation_s.high)
    counted = slots.gpus or 1.0
    limits = limits_from(spec, now)
    gpu_s = spent.scaled(counted)
    if limits.gpu_s is not None and slots.gpus:
        gpu_s = gpu_s.below(limits.gpu_s + counted * overshoot_s)
    wall = Span(
        spent.low / slots.workers,
        spent.middle / slots.workers,
        spent.high / slots.workers + (full_s if slots.workers > 1 else 0.0),
    )
    ends = [limits.wall_s, None if limits.deadline_at is None else limits.deadline_at - now]
    for end in ends:
        if end is not None:
            wall = wall.below(end + overshoot_s / slots.workers)
    return Plan(
        trials=done,
        per_rung={
            rung: Span(*(share_ * done for share_ in (p.low, p.middle, p.high)))
            for rung, p in zip(rungs, passing, strict=True)
        },
        iterations=_iterations(passing, rungs, done),
        worker_hours=spent.scaled(1 / 3600),
        gpu_hours=gpu_s.scaled(1 / 3600),
        wall_s=wall,
        disk_gb=_disk(costs, slots, kept) if costs.checkpoint_bytes else None,
        limited_by=limited_by,
        share=min(1.0, share),
    )


def _total(costs: Costs, passing: Sequence[Span], rungs: Sequence[int], trials: int) -> Span:
    iterations = _iterations(passing, rungs, trials)
    evaluations = [trials * sum(getattr(p, end) for p in passing) for end in ("low", "middle", "high")]
    ends = [
        trials * start + done * iteration + count * evaluation
        for start, done, iteration, count, evaluation in zip(
            _ends(costs.start_s),
            _ends(iterations),
            _ends(costs.iteration_s),
            evaluations,
            _ends(costs.evaluation_s),
            strict=True,
        )
    ]
    return Span(*ends)


def _ends(span: Span) -> tuple[float, float, float]:
    return span.low, span.middle, span.high


def _iterations(passing: Sequence[Span], rungs: Sequence[int], trials: int) -> Span:
    steps = [after - before for before, after in zip((0, *rungs), rungs, strict=False)]
    return Span(
        *(
            trials * sum(step * getattr(p, end) for step, p in zip(steps, passing, strict=True))
            for end in ("low", "middle", "high")
        )
    )


def _fitting(spec: SweepSpec, worker_s: float, slots: Slots, now: float) -> tuple[float, str]:
    """The share of the trials that the tightest limit lets through, and which limit that is."""
    limits = limits_from(spec, now)
    wall_s = worker_s / slots.workers
    found = [(1.0, "trials")]
    if limits.gpu_s is not None and slots.gpus:
        found.append((limits.gpu_s / max(worker_s * slots.gpus, 1e-9), "gpu_hours"))
    if limits.wall_s is not None:
        found.append((limits.wall_s / max(wall_s, 1e-9), "wall"))
    if limits.deadline_at is not None:
        found.append(((limits.deadline_at - now) / max(wall_s, 1e-9), "deadline"))
    return min(found)


def _disk(costs: Costs, slots: Slots, kept: int) -> Span:
    """Two checkpoints of each trial that runs, and those of the trials that are kept."""
    one = costs.checkpoint_bytes / GB
    at_once = 2 * slots.workers + kept
    return Span(kept * one, (slots.workers + kept) * one, at_once * one)
