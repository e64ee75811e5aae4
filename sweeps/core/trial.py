"""What a driver hands to a worker, what a worker reports back, and why an attempt fails."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, assert_never

from search_spaces.issues import printable
from search_spaces.parameters import Value
from sweeps.core.details import EvaluationDetails


class FailureKind(StrEnum):
    """Why an attempt ended without a result."""

    LOST = "lost"  # the worker or its node died
    ERROR = "error"  # an exception that may pass: a file system, a network, a bug
    DIVERGED = "diverged"  # the loss became NaN or infinite
    OUT_OF_MEMORY = "out_of_memory"  # of the device that it trains on
    OUT_OF_HOST_MEMORY = "out_of_host_memory"  # of the machine, which may have killed the worker
    DOES_NOT_BUILD = "does_not_build"  # the config makes no model, or none that can be trained here
    DISK_FULL = "disk_full"  # nothing of the trial's: whatever runs there would fail as well
    UNMEASURED = "unmeasured"  # the objective came out as NaN or -1 at full fidelity

    @property
    def retryable(self) -> bool:
        """Whether another attempt like this one may end otherwise. What is deterministic is never retried."""
        match self:
            case FailureKind.LOST | FailureKind.ERROR | FailureKind.DISK_FULL:
                return True
            case (
                FailureKind.DIVERGED
                | FailureKind.OUT_OF_MEMORY
                | FailureKind.OUT_OF_HOST_MEMORY
                | FailureKind.DOES_NOT_BUILD
                | FailureKind.UNMEASURED
            ):
                return False
            case _:
                assert_never(self)

    @property
    def blames_trial(self) -> bool:
        """Whether it uses up one of a trial's attempts."""
        return self is not FailureKind.DISK_FULL


class Alone(StrEnum):
    """What a trial has to itself in its second try, after it ran out of memory beside others."""

    DEVICE = "device"  # a GPU; other trials go on on other ones
    HOST = "host"  # everything: no other trial of the sweep runs


@dataclass(frozen=True, slots=True)
class SecondTry:
    """A trial that ran out of memory beside others is tried once more with less company.

    Attributes:
        alone: What it then has to itself.
        because: How the first try ended, for people.
    """

    alone: Alone
    because: str


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt failed; its words are `printable`, since they are stored.

    Attributes:
        kind: Which of the known ways.
        message: One line for people.
        detail: The traceback or log tail, or the empty string.
    """

    kind: FailureKind
    message: str
    detail: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", printable(self.message))
        object.__setattr__(self, "detail", printable(self.detail))


@dataclass(frozen=True, slots=True)
class Assignment:
    """One attempt at a trial, as a worker gets it.

    Attributes:
        sweep_id: The sweep.
        number: The trial's number, from 0.
        attempt: From 1; with the epoch it names this attempt's checkpoints.
        epoch: The driver's epoch, from 1.
        params: Active parameters by knob name.
        seed: The trial's seed, 0 to 2**31 - 1: the same for every attempt.
        rungs: Iterations at which to evaluate, ascending; the last one ends the trial.
        checkpoint: Directory to resume from, or None to start from the base weights.
        iteration: Iterations already done in that checkpoint.
        directory: Absolute directory for this trial's checkpoints.
        pause_file: The worker checkpoints and returns soon after this file appears.
        gpus: Share of a GPU that the attempt holds; 0 trains on the CPU, whatever the machine has.
    """

    sweep_id: str
    number: int
    attempt: int
    epoch: int
    params: Mapping[str, Value]
    seed: int
    rungs: tuple[int, ...]
    checkpoint: str | None
    iteration: int
    directory: str
    pause_file: str
    gpus: float = 0.0


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Losses and learning rate at one iteration of training."""

    iteration: int
    at: float  # seconds since the Unix epoch
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class AttemptFacts:
    """What an attempt runs with; sent once, in its first report.

    Attributes:
        config: The full Detectron2 config as YAML, or the empty string.
        environment: Names to versions and hardware, for reproduction.
        skipped_weights: Keys of the checkpoint that did not fit the model.
        started_s: Seconds from getting the assignment to the end of its first training iteration.
    """

    config: str
    environment: Mapping[str, str]
    skipped_weights: tuple[str, ...] = ()
    started_s: float | None = None


@dataclass(frozen=True, slots=True)
class FellBack:
    """An attempt did not go on from the checkpoint that it was to go on from.

    Attributes:
        iteration: Where it went on instead; 0: from the start.
        reason: What is wrong with the checkpoints behind it.
    """

    iteration: int
    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a worker's step returns.

    Attributes:
        number: The trial's number.
        attempt: The attempt that reports.
        iteration: Iterations done so far.
        at: When it was measured, in seconds since the Unix epoch.
        worker_s: Seconds of worker time since the previous report of this attempt.
        metrics: Evaluation at a rung, by metric name, without what could not be measured; None between rungs.
        checkpoint: Directory of a complete checkpoint at `iteration`, or None.
        curve: Loss points since the previous report.
        facts: Sent with the first report of an attempt.
        failure: Set if the attempt ended without a result; the rest then tells how far it came.
        paused: Whether the worker stopped because it was asked to.
        details: What the evaluation told beyond `metrics`, or None.
        fell_back: In the first report of an attempt that could not use its checkpoint.
    """

    number: int
    attempt: int
    iteration: int
    at: float
    worker_s: float
    metrics: Mapping[str, float] | None = None
    checkpoint: str | None = None
    curve: tuple[CurvePoint, ...] = ()
    facts: AttemptFacts | None = None
    failure: Failure | None = None
    paused: bool = False
    details: EvaluationDetails | None = None
    fell_back: FellBack | None = None


class Decision(StrEnum):
    """What the driver answers to a report."""

    CONTINUE = "CONTINUE"
    STOP = "STOP"


class TrialWorker(Protocol):
    """Runs trials one after another in one warm process. It raises nothing: failures are reports."""

    def start(self, assignment: Assignment) -> None:
        """Takes an assignment; cheap, the work happens in `step`."""

    def step(self) -> Report:
        """Trains until there is something to report: a rung, a checkpoint, a pause or a failure."""

    def worn_out(self) -> str | None:
        """Between two trials: why another process should run the next one, or None."""


class WorkerFactory(Protocol):
    """A picklable callable that makes the worker inside its process."""

    def __call__(self) -> TrialWorker:
        """A new worker."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A sampler's answer: parameters for a trial that does not exist yet."""

    number: int
    params: Mapping[str, Value]
    seed: int


@dataclass(frozen=True, slots=True)
class Measurement:
    """The evaluation of a trial at a rung."""

    number: int
    attempt: int
    iteration: int
    at: float
    metrics: Mapping[str, float] = field(default_factory=dict)
