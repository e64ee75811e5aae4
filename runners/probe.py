"""Trains points of a space for a few moments each, in a process of its own, and says what they cost.

The process is of its own so that its memory can be measured, it can be ended at any moment, and nothing
of it stays. It trains on a sample of the data set, in a directory that is deleted.
"""

import json
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from runners.detached import own_sessions
from search_spaces.parameters import Value
from sweeps.core.plan import Infeasible, Probe, Timing
from sweeps.core.spec import Dataset, Split, SweepSpec, spec_document, spec_from_document
from sweeps.core.trial import Assignment, Failure, Report, TrialWorker

TRAIN_IMAGES, VAL_IMAGES = 48, 12
"""Of the sample."""

TIMED = 3
"""The first so many points are timed; the others are trained for an iteration."""

MEMORY_SHARE = 0.9
"""Of the machine's memory, what the process may take."""

STRETCH_SHARE = 0.06
"""Of the probe's time, the training of a point that is timed."""


@dataclass(slots=True)
class _Findings:
    timings: list[Timing] = field(default_factory=list)
    infeasible: list[Infeasible] = field(default_factory=list)
    checked: int = 0
    peak_memory_bytes: int | None = None


def probe_points(spec: SweepSpec, points: Sequence[dict[str, Value]], seconds: float) -> Probe:
    """Trains the points one after another, for so many seconds in all.

    Args:
        spec: A spec that passed its preflight.
        points: Parameters; the first three are timed, and memory is measured on them.
        seconds: After which the process is ended, whatever it is at.
    """
    findings = _Findings()
    until = time.monotonic() + seconds
    directory = tempfile.mkdtemp(prefix="masksweep-plan-")
    here, there = multiprocessing.get_context("spawn").Pipe(duplex=False)
    child = multiprocessing.get_context("spawn").Process(
        target=_work, args=(spec_document(spec), list(points), directory, seconds, there), daemon=True
    )
    try:
        with own_sessions():
            child.start()
        there.close()
        _listen(here, until, findings)
    finally:
        if child.pid is not None:
            child.kill()
            child.join()
        here.close()
        shutil.rmtree(directory, ignore_errors=True)
    return Probe(
        tuple(findings.timings),
        tuple(findings.infeasible),
        findings.checked,
        len(points),
        findings.peak_memory_bytes,
    )


def _listen(connection: Connection, until: float, findings: _Findings) -> None:
    """Takes in what the process tells, until it is done or its time is up."""
    while connection.poll(max(0.0, until - time.monotonic())):
        try:
            told = connection.recv()
        except EOFError:
            return
        match told:
            case Timing():
                findings.timings.append(told)
                findings.checked += 1
            case Infeasible():
                findings.infeasible.append(told)
                findings.checked += 1
            case int():
                findings.peak_memory_bytes = told
            case _:
                findings.checked += 1


def _work(
    document: str, points: Sequence[dict[str, Value]], directory: str, seconds: float, told: Connection
) -> None:
    """Runs in the process."""
    from runners.plugin import make_worker  # noqa: PLC0415 - it imports this module

    spec, place = spec_from_document(document), Path(directory)
    # As Ray has it for its workers, and before torch is imported.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, int(spec.resources.cpus_per_trial))))
    _stay_below(MEMORY_SHARE)
    sample, images = _sampled(spec, place)
    text = spec_document(sample)
    timed = make_worker(text, checkpoint_s=seconds * STRETCH_SHARE)
    for index, params in enumerate(points[:TIMED]):
        told.send(_timing(timed, _assignment(spec, params, place / str(index)), images))
        told.send(_peak_memory_bytes())
    brief = make_worker(text, checkpoint_s=0.0)
    for index, params in enumerate(points[TIMED:], TIMED):
        assignment = _assignment(spec, params, place / str(index))
        brief.start(assignment)
        told.send(_trouble(assignment, brief.step()) or "builds")
        shutil.rmtree(assignment.directory, ignore_errors=True)


def _timing(worker: TrialWorker, assignment: Assignment, images: float) -> Timing | Infeasible:
    """Trains for a stretch, then goes on from its checkpoint for an iteration and an evaluation.

    `images`: how many times more validation images the data set has than the sample.
    """
    worker.start(assignment)
    stretch = worker.step()
    if trouble := _trouble(assignment, stretch):
        return trouble
    start_s = stretch.facts.started_s if stretch.facts and stretch.facts.started_s else 0.0
    training_s = max(0.0, stretch.worker_s - start_s)
    size = _size(stretch.checkpoint)
    if stretch.iteration >= assignment.rungs[-1]:  # that was all of it, evaluation included
        return Timing(assignment.params, training_s / stretch.iteration, 0.0, start_s, size)
    rungs = (stretch.iteration + 1, *assignment.rungs)
    worker.start(_again(assignment, stretch, rungs))
    rung = worker.step()
    if trouble := _trouble(assignment, rung):
        return trouble
    again_s = rung.facts.started_s if rung.facts and rung.facts.started_s else 0.0
    iteration_s = training_s / max(1, stretch.iteration - 1)
    if stretch.iteration == 1:  # the first one is slow: what it took is all that is known
        iteration_s = start_s
    return Timing(assignment.params, iteration_s, max(0.0, rung.worker_s - again_s) * images, start_s, size)


def _trouble(assignment: Assignment, report: Report) -> Infeasible | None:
    failure: Failure | None = report.failure
    if failure is None:
        return None
    return Infeasible(assignment.params, f"{failure.kind}: {failure.message}")


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


def _again(assignment: Assignment, report: Report, rungs: tuple[int, ...]) -> Assignment:
    return replace(
        assignment, attempt=2, checkpoint=report.checkpoint, iteration=report.iteration, rungs=rungs
    )


def _stay_below(share: float) -> None:
    """Lets what needs more than this share of the machine's memory fail, instead of the machine."""
    most = int(share * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    resource.setrlimit(resource.RLIMIT_DATA, (most, resource.getrlimit(resource.RLIMIT_DATA)[1]))


def _size(checkpoint: str | None) -> int:
    """Bytes of a checkpoint's files."""
    return sum(path.stat().st_size for path in Path(checkpoint).iterdir()) if checkpoint else 0


def _peak_memory_bytes() -> int:
    """The most that torch took of the GPU, or this whole process of the machine."""
    torch: Any = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _sampled(spec: SweepSpec, directory: Path) -> tuple[SweepSpec, float]:
    """The spec on a sample of its data, and how many times more validation images there are."""
    if spec.dataset is None:
        return spec, 1.0
    train, _ = _sample(spec.dataset.train, directory / "train.json", TRAIN_IMAGES)
    val, times = _sample(spec.dataset.val, directory / "val.json", VAL_IMAGES)
    return spec.model_copy(update={"dataset": Dataset(train=train, val=val)}), times


def _sample(split: Split, file: Path, images: int) -> tuple[Split, float]:
    """A split with so many of its images, spread evenly over the file."""
    coco = json.loads(Path(split.annotations).read_text(encoding="utf-8"))
    every = max(1, len(coco["images"]) // images)
    kept = coco["images"][::every][:images]
    ids = {image["id"] for image in kept}
    coco["annotations"] = [a for a in coco["annotations"] if a["image_id"] in ids]
    times = len(coco["images"]) / max(1, len(kept))
    coco["images"] = kept
    file.write_text(json.dumps(coco), encoding="utf-8")
    return Split(annotations=str(file), images=split.images), times
