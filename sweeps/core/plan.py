"""The words of a plan: intervals, what trials cost, what there is to run on, what a sweep would cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from search_spaces.parameters import Value

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

    def __add__(self, other: "Span") -> "Span":
        """The sum of two."""
        return Span(self.low + other.low, self.middle + other.middle, self.high + other.high)

    def __mul__(self, other: "Span") -> "Span":
        """The product of two that are nowhere below 0."""
        return Span(self.low * other.low, self.middle * other.middle, self.high * other.high)

    def scaled(self, factor: float) -> "Span":
        """The span in another unit."""
        return self * exactly(factor)

    def under(self, other: "Span") -> "Span":
        """The lesser of two, end by end."""
        return Span(min(self.low, other.low), min(self.middle, other.middle), min(self.high, other.high))


def exactly(value: float) -> Span:
    """What is known."""
    return Span(value, value, value)


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
    """What a point of the space costs, as measured: times in seconds.

    Attributes:
        busy: Of the time, how much its process had a CPU, 0 to 1: the rest went to others.
    """

    params: Mapping[str, Value]
    iteration_s: float
    evaluation_s: float
    start_s: float
    checkpoint_bytes: int
    busy: float = 1.0


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
        notes: What went wrong, and may go well another time.
    """

    timings: tuple[Timing, ...]
    infeasible: tuple[Infeasible, ...]
    checked: int
    points: int
    peak_memory_bytes: int | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit of the budget beside its number of trials.

    Attributes:
        name: `gpu_hours`, `wall` or `deadline`.
        at: Where it ends the sweep: in GPU-hours, or in seconds from its start.
        need: What all the trials, and their replicates, would take of it.
    """

    name: str
    at: float
    need: Span

    @property
    def share(self) -> float:
        """How much of the trials it lets through, as far as can be foreseen; above 1 if all."""
        return self.at / max(self.need.middle, 1e-9)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a sweep would cost, less what its budget cuts off.

    Attributes:
        trials: That its search starts.
        per_rung: Iterations of each rung -> trials of the search that come to it.
        replicates: Full trainings of finalists with other seeds, after the search.
        iterations: Of all trials and replicates.
        worker_hours: Of all trials and replicates, start and evaluations included.
        gpu_hours: Worker hours times the share of a device; where there is no GPU a worker counts as one.
        wall_s: Seconds from start to end.
        disk_gb: Checkpoints at any one time, in 10**9 bytes; None if their size is not known.
        limited_by: What ends it: `trials`, `gpu_hours`, `wall` or `deadline` of the budget, or `space` where
            there are fewer combinations than trials.
        limits: Those of the budget that are given beside `trials`.
    """

    trials: Span
    per_rung: Mapping[int, Span]
    replicates: Span
    iterations: Span
    worker_hours: Span
    gpu_hours: Span
    wall_s: Span
    disk_gb: Span | None
    limited_by: str
    limits: tuple[Limit, ...]
