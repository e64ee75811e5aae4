"""The probe's other half: builds, times and trains points of a space, in a process of its own."""

import json
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum, auto
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Protocol

from runners.memory_left import memory_left
from runners.regular_files import read_text
from search_spaces.parameters import Value
from sweeps.core.plan import Infeasible, Timing
from sweeps.core.spec import Dataset, Fidelity, Split, SweepSpec, spec_document, spec_from_document
from sweeps.core.trial import Assignment, Failure, FailureKind, Report, TrialWorker

TRAIN_IMAGES, VAL_IMAGES = 48, 12
"""Of the sample."""

LONG = 1_000_000
"""Iterations of a training that the probe breaks off."""

ANY_SCORE = 0.0001
"""A score threshold under which an untrained model detects as much as a trained one may."""

BUILDING_SHARE, STRETCH_SHARE, MEMORY_SHARE = 0.4, 0.06, 0.9
"""Of the probe's time for building at most; of it for training a timed point; of the memory that is left."""

_NO_MEMORY = (FailureKind.OUT_OF_MEMORY, FailureKind.OUT_OF_HOST_MEMORY)


class Kind(Enum):
    """What is done with a point."""

    BUILD = auto()  # its model and optimizer
    TIME = auto()  # a stretch of training and an evaluation
    TRAIN = auto()  # an iteration


@dataclass(frozen=True, slots=True)
class Task:
    """What to do, and the place of the point to do it with."""

    kind: Kind
    place: int


@dataclass(frozen=True, slots=True)
class Order:
    """All that the process is to do.

    Attributes:
        document: The spec.
        points: Parameters.
        tasks: In their order; a point that cannot be built is not trained.
        directory: To be filled; whoever gives the order deletes it.
        seconds: For all of it.
    """

    document: str
    points: tuple[dict[str, Value], ...]
    tasks: tuple[Task, ...]
    directory: str
    seconds: float

    @property
    def said(self) -> Path:
        """The file for what libraries print."""
        return Path(self.directory) / "said.txt"


@dataclass(frozen=True, slots=True)
class Begun:
    """A task is being done from now on."""

    task: Task


@dataclass(frozen=True, slots=True)
class Done:
    """A task's end.

    Attributes:
        found: What it gave: a note if it failed by what may pass, None if there is nothing to tell.
        peak_memory_bytes: The most that was taken so far, where it was looked at.
        skipped: Whether there was no time for it.
    """

    task: Task
    found: Timing | Infeasible | str | None = None
    peak_memory_bytes: int | None = None
    skipped: bool = False


class Builder(Protocol):
    """Builds models without training them."""

    def failure(self, params: dict[str, Value]) -> Failure | None:
        """Why the model of these parameters cannot be built; None if it can."""


def work(order: Order, told: Connection) -> None:
    """Does the tasks, in a process that leads a group of its own and ends with the one that started it."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    watch = threading.Thread(target=_end_with_parent, args=(order.directory,), daemon=True)
    watch.start()
    output = os.open(order.said, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ["TMPDIR"] = order.directory
    try:
        for done in _results(order, told):
            told.send(done)
            if isinstance(done.found, Infeasible) and done.found.reason.startswith(_NO_MEMORY):
                return  # what it took may not come back: the others are for another process
    except BrokenPipeError:  # nobody listens any more
        watch.join()


def _end_with_parent(directory: str) -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.execvp("rm", ["rm", "-rf", "--", directory])  # in our place: nothing of us writes there meanwhile


def _results(order: Order, told: Connection) -> Iterator[Done]:
    from runners.plugin import make_builder, make_worker  # noqa: PLC0415 - it imports this module

    started, spec = time.monotonic(), spec_from_document(order.document)
    # As Ray has it for its workers, and before torch is imported.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, int(spec.resources.cpus_per_trial))))
    os.environ.setdefault("RAYON_NUM_THREADS", os.environ["OMP_NUM_THREADS"])
    sample, images = sampled(spec, Path(order.directory))
    text = spec_document(sample)
    builder = make_builder(text)
    timed = make_worker(text, checkpoint_s=order.seconds * STRETCH_SHARE)
    brief = make_worker(text, checkpoint_s=0.0)
    _stay_below(MEMORY_SHARE, spec)
    dropped: set[int] = set()
    for task in order.tasks:
        if task.place in dropped:
            continue
        building = task.kind is Kind.BUILD
        if building and (builder is None or time.monotonic() - started > order.seconds * BUILDING_SHARE):
            yield Done(task, skipped=True)
            continue
        told.send(Begun(task))
        params = order.points[task.place]
        assignment = _assignment(sample, params, Path(order.directory) / f"{task.kind.name}-{task.place}")
        peak: int | None = None
        found: Timing | Infeasible | str | None
        match task.kind:
            case Kind.BUILD:
                assert builder is not None
                found = _trouble(params, builder.failure(params))
            case Kind.TIME:
                found = _timing(timed, assignment, images)
                peak = _peak_memory_bytes() if isinstance(found, Timing) else None
            case Kind.TRAIN:
                brief.start(assignment)
                found = _trouble(params, brief.step().failure)
        shutil.rmtree(assignment.directory, ignore_errors=True)
        if isinstance(found, Infeasible):
            dropped.add(task.place)
        yield Done(task, found, peak)


def _timing(worker: TrialWorker, assignment: Assignment, images: float) -> Timing | Infeasible | str | None:
    """Trains for a stretch, then goes on from its checkpoint for an iteration and an evaluation.

    `images`: how many times more validation images the data set has than the sample.
    """
    worker.start(assignment)
    began, busy_s = time.monotonic(), time.process_time()
    stretch = worker.step()
    if stretch.failure is not None:
        return _trouble(assignment.params, stretch.failure)
    busy = min(1.0, (time.process_time() - busy_s) / max(1e-9, time.monotonic() - began))
    start_s = _started_s(stretch)
    saved_s = max(0.0, stretch.at - stretch.curve[-1].at) if stretch.curve else 0.0
    training_s = max(0.0, stretch.worker_s - start_s - saved_s)
    iteration_s = training_s / (stretch.iteration - 1) if stretch.iteration > 1 else start_s
    timing = Timing(
        assignment.params,
        iteration_s=iteration_s,
        evaluation_s=0.0,
        start_s=start_s,
        checkpoint_bytes=_size(stretch.checkpoint),
        busy=1.0 if assignment.gpus else busy,
    )
    if stretch.iteration >= assignment.rungs[-1]:  # that was all of it, evaluation included
        return replace(timing, iteration_s=(training_s + saved_s) / stretch.iteration)
    worker.start(
        replace(
            assignment,
            attempt=2,
            checkpoint=stretch.checkpoint,
            iteration=stretch.iteration,
            rungs=(stretch.iteration + 1, *assignment.rungs),
        )
    )
    rung = worker.step()
    if rung.failure is not None:
        return _trouble(assignment.params, rung.failure)
    evaluated_s = max(0.0, rung.worker_s - _started_s(rung) - saved_s)
    return replace(timing, evaluation_s=evaluated_s * images + saved_s)


def _started_s(report: Report) -> float:
    """Seconds from the assignment to the end of the first iteration."""
    return (report.facts.started_s if report.facts else None) or 0.0


def _trouble(params: Any, failure: Failure | None) -> Infeasible | str | None:
    if failure is None:
        return None
    reason = f"{failure.kind}: {failure.message}"
    told = failure.kind in (FailureKind.DOES_NOT_BUILD, *_NO_MEMORY)
    return Infeasible(params, reason) if told else f"{reason} ({params})"


def _assignment(spec: SweepSpec, params: dict[str, Value], directory: Path) -> Assignment:
    gpus = spec.resources.gpus_per_trial
    return Assignment(
        sweep_id="plan",
        number=0,
        attempt=1,
        epoch=1,
        params=params,
        seed=spec.sampler.seed,
        rungs=(spec.fidelity.iterations,),
        checkpoint=None,
        iteration=0,
        directory=str(directory),
        pause_file=str(directory / "pause"),
        gpus=1.0 if gpus is None else gpus,
    )


def _stay_below(share: float, spec: SweepSpec) -> None:
    """Lets what takes more than this share of the memory that is left fail, instead of the machine."""
    if spec.resources.gpus_per_trial != 0 and "torch" in sys.modules and _cuda():
        return  # drivers of GPUs map more than they take
    left = memory_left()
    if left is None:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = _data_bytes() + int(left * share)
    if soft == resource.RLIM_INFINITY or most < soft:
        resource.setrlimit(resource.RLIMIT_DATA, (most, hard))


def _cuda() -> bool:
    torch: Any = sys.modules.get("torch")
    return torch is not None and bool(torch.cuda.is_available())


def _data_bytes() -> int:
    """What the limit counts, so far: private memory that can be written."""
    pages = Path("/proc/self/statm").read_text().split()
    return int(pages[5]) * resource.getpagesize()


def _size(checkpoint: str | None) -> int:
    """Bytes of a checkpoint's files."""
    return sum(path.stat().st_size for path in Path(checkpoint).iterdir()) if checkpoint else 0


def _peak_memory_bytes() -> int:
    """The most that torch took of the GPU, or this whole process of the machine."""
    torch: Any = sys.modules.get("torch")
    if _cuda():
        return int(torch.cuda.max_memory_allocated())
    # Not getrusage's: that begins with what the process was copied from.
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def sampled(spec: SweepSpec, directory: Path) -> tuple[SweepSpec, float]:
    """The spec with little to load and much to train, and how many times more validation images there are.

    On a sample of the data, from random weights (nothing is downloaded), and with all detections that an
    evaluation may come to have.
    """
    if spec.dataset is None:
        return spec, 1.0
    train, _ = _sample(spec.dataset.train, directory / "train.json", TRAIN_IMAGES, annotated=True)
    val, times = _sample(spec.dataset.val, directory / "val.json", VAL_IMAGES, annotated=False)
    scores = spec.inference.score_threshold or (ANY_SCORE,)
    changed = {
        "dataset": Dataset(train=train, val=val),
        "base": spec.base.model_copy(update={"weights": "none"}),
        "fidelity": Fidelity(iterations=LONG, rungs=(LONG,)),
        "inference": spec.inference.model_copy(update={"score_threshold": (ANY_SCORE, *scores[1:])}),
    }
    return spec.model_copy(update=changed), times


def _sample(split: Split, file: Path, images: int, *, annotated: bool) -> tuple[Split, float]:
    """A split with so many of its images, spread evenly over the file; or of those with annotations."""
    coco = json.loads(read_text(split.annotations))
    with_some = {each["image_id"] for each in coco["annotations"]}
    there = [image for image in coco["images"] if not annotated or image["id"] in with_some]
    kept = there[:: max(1, len(there) // images)][:images]
    ids = {image["id"] for image in kept}
    times = len(coco["images"]) / max(1, len(kept))
    coco["annotations"] = [each for each in coco["annotations"] if each["image_id"] in ids]
    coco["images"] = kept
    file.write_text(json.dumps(coco), encoding="utf-8")
    return Split(annotations=str(file), images=split.images), times
