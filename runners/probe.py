"""Trains points of a space for a few moments each, in a process of its own, and says what they cost.

The process is of its own so that its memory can be measured, it can be ended at any moment, and nothing
of it stays. It trains on a sample of the data set, in a directory that is deleted.
"""

import contextlib
import multiprocessing
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from runners.interrupts import Interrupts
from runners.probe_tasks import Begun, Done, Kind, Order, Task, work
from search_spaces.parameters import Value
from sweeps.core.plan import Infeasible, Probe, Timing
from sweeps.core.spec import SweepSpec, spec_document
from sweeps.core.trial import FailureKind

_KILLED = -signal.SIGKILL


@dataclass(slots=True)
class _Findings:
    """What has been told so far.

    Attributes:
        waiting: Tasks still to be done.
        begun: The task that is being done, or None.
        tried: Places of the points that were built or trained,
        trained: and of those that were trained without trouble.
    """

    waiting: list[Task]
    begun: Task | None = None
    timings: list[Timing] = field(default_factory=list)
    infeasible: dict[int, Infeasible] = field(default_factory=dict)
    tried: set[int] = field(default_factory=set)
    trained: set[int] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    peak_memory_bytes: int | None = None


def probe_points(spec: SweepSpec, points: Sequence[dict[str, Value]], *, timed: int, seconds: float) -> Probe:
    """Builds all points, times some and trains the others for an iteration, for so many seconds in all.

    On the main thread. Ctrl-C, SIGTERM and a closed terminal raise KeyboardInterrupt once all is cleaned up.

    Args:
        spec: A spec that passed its preflight.
        points: Parameters.
        timed: The first so many of them are timed; if none of these can be trained, as many that can.
        seconds: After which the process is ended, whatever it is at.
    """
    until, places = time.monotonic() + seconds, range(len(points))
    findings = _Findings(
        [
            *(Task(Kind.BUILD, place) for place in places),
            *(Task(Kind.TIME, place) for place in places[:timed]),
            *(Task(Kind.TRAIN, place) for place in places[timed:]),
        ]
    )
    with Interrupts() as interrupts:
        directory = Path(tempfile.mkdtemp(prefix="masksweep-plan-"))
        try:
            for again in (False, True):
                if again and not findings.timings:  # none of those that were to be timed can be trained
                    findings.waiting = [Task(Kind.TIME, p) for p in sorted(findings.trained)[:timed]]
                while findings.waiting and (left := until - time.monotonic()) > 0:
                    tasks = tuple(findings.waiting)
                    order = Order(spec_document(spec), tuple(points), tasks, str(directory), left)
                    _round(order, until, findings, interrupts)
        finally:
            interrupts.ignore()
            shutil.rmtree(directory, ignore_errors=True)
    return Probe(
        tuple(findings.timings),
        tuple(findings.infeasible.values()),
        len(findings.tried),
        len(points),
        findings.peak_memory_bytes,
        tuple(findings.notes),
    )


def _round(order: Order, until: float, findings: _Findings, interrupts: Interrupts) -> None:
    """Has a process do the tasks until they are done, time is up, or it ends with one."""
    spawning = multiprocessing.get_context("spawn")
    here, there = spawning.Pipe(duplex=False)
    child = spawning.Process(target=work, args=(order, there), daemon=True)
    try:
        child.start()
        there.close()
        ended = _listen(here, until, findings)
        if ended:
            child.join()
            if child.exitcode:
                _blame(child.exitcode, order, findings)
    finally:
        if child.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)  # what it has started, too
            child.kill()
            child.join()
        here.close()


def _listen(connection: Connection, until: float, findings: _Findings) -> bool:
    """Takes in what the process tells, until all is done or time is up; whether it ended before."""
    while findings.waiting and connection.poll(max(0.0, until - time.monotonic())):
        try:
            told = connection.recv()
        except (EOFError, OSError):
            return True
        if isinstance(told, Begun):
            findings.begun = told.task
        elif isinstance(told, Done):
            _take(told, findings)
    return False


def _take(done: Done, findings: _Findings) -> None:
    findings.waiting.remove(done.task)
    findings.begun = None
    if done.skipped:
        return
    findings.tried.add(done.task.place)
    if done.peak_memory_bytes is not None:
        findings.peak_memory_bytes = max(done.peak_memory_bytes, findings.peak_memory_bytes or 0)
    match done.found:
        case Timing() as timing:
            findings.timings.append(timing)
        case Infeasible() as infeasible:
            _drop(done.task.place, infeasible, findings)
        case str() as note:
            findings.notes.append(note)
        case None if done.task.kind is Kind.TRAIN:
            findings.trained.add(done.task.place)


def _drop(place: int, infeasible: Infeasible, findings: _Findings) -> None:
    findings.infeasible[place] = infeasible
    findings.waiting = [task for task in findings.waiting if task.place != place]


def _blame(code: int, order: Order, findings: _Findings) -> None:
    """A point that ends the process is not tried again; what the system kills took too much memory."""
    task = findings.begun
    if task is None:  # it did not come so far
        findings.notes.append(f"the probe ended with {code}: {_last_words(order)}")
        findings.waiting = []
        return
    findings.begun, point = None, order.points[task.place]
    findings.tried.add(task.place)
    if code == _KILLED:
        reason = f"{FailureKind.OUT_OF_HOST_MEMORY}: the system killed the process"
        _drop(task.place, Infeasible(point, reason), findings)
    else:
        findings.notes.append(f"a worker died of {point}: {_last_words(order)}")
        findings.waiting = [other for other in findings.waiting if other.place != task.place]


def _last_words(order: Order) -> str:
    try:
        lines = order.said.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return lines[-1][:300] if lines else "it said nothing"
