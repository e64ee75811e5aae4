"""An analytic worker for tests and benchmarks of the driver: learning curves, checkpoints, planned faults."""

import hashlib
import json
import math
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from runners.checkpoints import Shelf, trouble
from runners.memory import HOST, MIB, MemoryWatch, resident_bytes
from runners.stall import move
from search_spaces.parameters import Value
from sweeps.core.trial import Assignment, Failure, FailureKind, Report

_PATIENCE_S = 180.0


TOLERANCE = 32 * MIB
"""Bytes that this worker may hold beyond what it held after its first trial."""


def _host() -> dict[str, int]:
    return {HOST: resident_bytes() or 0}


@dataclass
class CurveWorker:
    """Trains nothing: `segm/AP` is a smooth function of the parameters, and some luck of the seed.

    The value depends on a hash chain over the iterations, kept in the checkpoint, so that a wrong resume
    shows in the result.

    Attributes:
        log: File that gets a line `number attempt epoch iteration` for each iteration, or None.
        faults: What to do when a trial's first attempt reaches its first rung: `exit` ends the process,
            any `FailureKind` is reported; `hang` waits for ever at the last rung.
        needs: Share of a GPU that trials need: with less they run out of memory at their first rung.
        always: Whether later attempts go wrong too.
        step_s: Seconds an iteration takes.
        devices: File that gets a line `start number pid attempt node gpus` as a step begins and `end ...`
            as it ends; the GPUs are those that its process sees, `-` for none. None writes none.
        leak: Bytes of memory that each attempt takes and never gives back.
        weight: Bytes that a checkpoint takes beside its state.
        together: Trials below this number make their first step when all of them are about to, so that what
            fits runs at once however slowly processes start; needs `devices`.
    """

    log: Path | None = None
    faults: Mapping[int, str] = field(default_factory=dict)
    needs: Mapping[int, float] = field(default_factory=dict)
    always: bool = False
    step_s: float = 0.0
    devices: Path | None = None
    together: int = 0
    weight: int = 0
    leak: int = 0
    _assignment: Assignment | None = None
    _iteration: int = 0
    _chain: str = ""
    _leaked: list[bytes] = field(default_factory=list)
    _watch: MemoryWatch = field(default_factory=partial(MemoryWatch, _host, tolerance={HOST: TOLERANCE}))

    def start(self, assignment: Assignment) -> None:
        """Takes an assignment, from its checkpoint if it has one."""
        self._assignment, self._iteration = assignment, 0
        self._chain = _digest(json.dumps(dict(assignment.params), sort_keys=True) + str(assignment.seed))
        self._shelf = Shelf(assignment)
        state, self._fell_back = self._shelf.resume(_read)
        if state is not None:
            self._iteration, self._chain = state

    def step(self) -> Report:
        """Goes on to the next rung, or stops before it when asked to pause."""
        assert self._assignment is not None
        assignment, began = self._assignment, time.monotonic()
        self._shelf.tidy()
        if self.leak:
            self._leaked.append(b"x" * self.leak)
        self._tell_devices("start", assignment)
        if assignment.number < self.together:
            self._wait_for_the_others()
        rung = min(r for r in assignment.rungs if r > self._iteration)
        while self._iteration < rung and not os.path.exists(assignment.pause_file):
            self._advance(assignment)
        reached = self._iteration == rung
        faulty = reached and (self.always or assignment.attempt == 1)
        fault = self.faults.get(assignment.number) if faulty else None
        if reached and assignment.gpus < self.needs.get(assignment.number, 0.0):
            fault = FailureKind.OUT_OF_MEMORY
        if fault == "exit":
            os._exit(1)
        if fault == "hang":
            if rung == assignment.rungs[-1]:
                threading.Event().wait()
            fault = None
        failure, checkpoint = (Failure(FailureKind(fault), "planned") if fault else None), None
        if failure is None:
            try:
                checkpoint = self._shelf.add(self._iteration, self._write)
            except OSError as error:
                failure = trouble(error)
        metrics = {"segm/AP": self._value(assignment.params)} if reached and failure is None else None
        self._tell_devices("end", assignment)
        fell_back, self._fell_back = self._fell_back, None
        return Report(
            number=assignment.number,
            attempt=assignment.attempt,
            iteration=self._iteration,
            at=time.time(),
            worker_s=time.monotonic() - began,
            metrics=metrics,
            checkpoint=str(checkpoint) if checkpoint else None,
            failure=failure,
            paused=not reached,
            fell_back=fell_back,
        )

    def worn_out(self) -> str | None:
        """As the real worker finds it, with a smaller tolerance."""
        return self._watch.look()

    def _advance(self, assignment: Assignment) -> None:
        self._iteration += 1
        move()
        self._chain = _digest(self._chain + str(self._iteration))
        if self.step_s:
            time.sleep(self.step_s)
        if self.log is not None:
            with self.log.open("a") as lines:
                lines.write(
                    f"{assignment.number} {assignment.attempt} {assignment.epoch} {self._iteration}\n"
                )

    def _tell_devices(self, what: str, assignment: Assignment) -> None:
        """One short line, appended in one write: the order of the lines is that of the events."""
        if self.devices is None:
            return
        import ray  # noqa: PLC0415 - only an actor of Ray's has a node

        node = ray.get_runtime_context().get_node_id()
        gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "all") or "-"
        with self.devices.open("a") as lines:
            lines.write(f"{what} {assignment.number} {os.getpid()} {assignment.attempt} {node} {gpus}\n")

    def _wait_for_the_others(self) -> None:
        assert self.devices is not None
        until = time.monotonic() + _PATIENCE_S
        while self._numbers_that_began() < self.together and time.monotonic() < until:
            time.sleep(0.02)

    def _numbers_that_began(self) -> int:
        assert self.devices is not None
        return len({line.split()[1] for line in self.devices.read_text().splitlines()})

    def _value(self, params: Mapping[str, Value]) -> float:
        distance = sum(abs(math.log10(v) + 3) for v in params.values() if isinstance(v, float) and v > 0)
        luck = int(self._chain[:6], 16) / 0xFFFFFF
        return 60 * (1 - math.exp(-self._iteration / 10)) * math.exp(-distance) + luck

    def _write(self, directory: Path) -> None:
        state = {"iteration": self._iteration, "chain": self._chain}
        (directory / "state.json").write_text(json.dumps(state))
        (directory / "weights.bin").write_bytes(b"\1" * self.weight)


def _read(checkpoint: Path) -> tuple[int, str]:
    state = json.loads((checkpoint / "state.json").read_text())
    return state["iteration"], state["chain"]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
