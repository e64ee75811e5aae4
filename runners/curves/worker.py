"""Runs trials of a synthetic base: trains nothing, and does all else that a worker does."""

import json
import os
import platform
import shutil
import time
from importlib.metadata import version
from pathlib import Path

from runners.curves.objective import Objective, Trouble
from sweeps.core.details import EvaluationDetails
from sweeps.core.spec import SweepSpec
from sweeps.core.trial import Assignment, AttemptFacts, CurvePoint, Failure, FailureKind, Report

STATE = "state.json"
"""A checkpoint's only file: the iterations done."""

LOSSES = 10
"""Points that the loss curve of a full training has."""


class AnalyticWorker:
    """A `TrialWorker` whose evaluations are those of an `Objective`.

    What is planted as a lost worker ends the process.
    """

    def __init__(self, spec: SweepSpec, *, checkpoint_s: float = 60.0) -> None:
        """Cheap: there is nothing to load.

        Args:
            spec: A sweep whose base is synthetic.
            checkpoint_s: Seconds of training between two checkpoints.
        """
        self._spec, self._checkpoint_s = spec, checkpoint_s
        self._objective = Objective.of(spec)
        self._step_s = spec.base.step_s or 0.0
        self._every = max(1, spec.fidelity.iterations // LOSSES)
        self._paired = spec.pruner.type == "wilcoxon"  # nobody else reads image scores
        self._assignment: Assignment | None = None

    def start(self, assignment: Assignment) -> None:
        """Takes an assignment; the work happens in `step`."""
        self._assignment, self._iteration, self._begun = assignment, assignment.iteration, False
        self._started_at = self._reported_at = time.monotonic()
        self._trouble: Trouble | None = None
        self._curve: list[CurvePoint] = []
        self._started_s: float | None = None
        self._facts_sent = False
        self._saved = Path(assignment.checkpoint) if assignment.checkpoint else None
        self._outdated: Path | None = None

    def step(self) -> Report:
        """Goes on until there is a rung, a checkpoint, a pause or trouble to report."""
        assignment = self._assignment
        if assignment is None:
            raise RuntimeError("step() before start()")
        try:
            if self._outdated is not None:  # the driver has answered: the newer one is in the store
                shutil.rmtree(self._outdated, ignore_errors=True)
                self._outdated = None
            if not self._begun:
                self._begin(assignment)
            return self._advance(assignment)
        except Exception as error:  # a disk that is full, a checkpoint that is gone
            return self._report(assignment, failure=Failure(FailureKind.ERROR, _line(error)))

    def _begin(self, assignment: Assignment) -> None:
        if assignment.checkpoint is not None:
            done = json.loads((Path(assignment.checkpoint) / STATE).read_text())["iteration"]
            if done != assignment.iteration:
                raise ValueError(
                    f"{assignment.checkpoint}: holds iteration {done}, not {assignment.iteration}"
                )
        self._trouble = self._objective.trouble(assignment.params, assignment.seed, assignment.attempt)
        self._begun = True

    def _advance(self, assignment: Assignment) -> Report:
        before, rungs = self._iteration, assignment.rungs
        goal = next((rung for rung in rungs if rung > before), rungs[-1])
        trouble = self._trouble if self._trouble and before <= self._trouble.iteration <= goal else None
        self._train(assignment, goal if trouble is None else trouble.iteration)
        if trouble is not None and self._iteration == trouble.iteration:
            if trouble.kind is FailureKind.LOST:
                os._exit(1)
            return self._report(assignment, failure=Failure(trouble.kind, trouble.message))
        reached = self._iteration in rungs and self._iteration > before
        checkpoint = self._save(assignment)
        paused = self._iteration < rungs[-1] and os.path.exists(assignment.pause_file)
        return self._report(assignment, reached=reached, checkpoint=checkpoint, paused=paused)

    def _train(self, assignment: Assignment, goal: int) -> None:
        """Goes on to `goal`, or until a pause is asked for or a checkpoint is due."""
        due = time.monotonic() + self._checkpoint_s
        while self._iteration < goal and not os.path.exists(assignment.pause_file):
            if self._step_s and time.monotonic() >= due:
                return
            # without a pace there is nothing to wait for between two points of the curve
            stride = 1 if self._step_s else self._every - self._iteration % self._every
            self._iteration = min(goal, self._iteration + stride)
            time.sleep(self._step_s)
            if self._started_s is None:
                self._started_s = time.monotonic() - self._started_at
            if self._iteration % self._every == 0:
                loss = self._objective.loss(assignment.params, assignment.seed, self._iteration)
                self._curve.append(CurvePoint(self._iteration, time.time(), {"total_loss": loss}))

    def _save(self, assignment: Assignment) -> Path:
        """A checkpoint that appears whole or not at all."""
        name = f"e{assignment.epoch}a{assignment.attempt}i{self._iteration:07d}"
        path = Path(assignment.directory) / name
        if not path.exists():
            scratch = path.with_suffix(".tmp")
            scratch.mkdir(parents=True, exist_ok=True)
            with (scratch / STATE).open("w") as file:
                json.dump({"iteration": self._iteration}, file)
                file.flush()
                os.fsync(file.fileno())
            scratch.rename(path)
        if self._saved != path:
            self._saved, self._outdated = path, self._saved
        return path

    def _report(
        self,
        assignment: Assignment,
        *,
        reached: bool = False,
        checkpoint: Path | None = None,
        failure: Failure | None = None,
        paused: bool = False,
    ) -> Report:
        now = time.monotonic()
        worker_s, self._reported_at = now - self._reported_at, now
        facts = None if self._facts_sent else _facts(self._started_s)
        curve, self._curve, self._facts_sent = tuple(self._curve), [], True
        what = (assignment.params, assignment.seed, self._iteration)
        return Report(
            number=assignment.number,
            attempt=assignment.attempt,
            iteration=self._iteration,
            at=time.time(),
            worker_s=worker_s,
            metrics=self._objective.metrics(*what) if reached else None,
            details=EvaluationDetails(images=self._objective.images(*what))
            if reached and self._paired
            else None,
            checkpoint=str(checkpoint) if checkpoint is not None else None,
            curve=curve,
            facts=facts,
            failure=failure,
            paused=paused,
        )


def _facts(started_s: float | None) -> AttemptFacts:
    environment = {"masksweep": version("masksweep"), "python": platform.python_version()}
    return AttemptFacts(config="", environment=environment, started_s=started_s)


def _line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:500]
