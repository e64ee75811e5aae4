"""Runs trials of a synthetic base: trains nothing, and does all else that a worker does."""

import json
import os
import platform
import time
from importlib.metadata import version
from pathlib import Path

from runners.checkpoints import Shelf, trouble
from runners.curves.objective import Objective, Trouble
from runners.stall import move
from sweeps.core.details import EvaluationDetails
from sweeps.core.spec import SweepSpec
from sweeps.core.trial import Assignment, AttemptFacts, CurvePoint, Failure, FailureKind, FellBack, Report

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
        self._shelf = Shelf(assignment)
        self._fell_back: FellBack | None = None

    def worn_out(self) -> str | None:
        """Never: it keeps nothing."""
        return None

    def step(self) -> Report:
        """Goes on until there is a rung, a checkpoint, a pause or trouble to report."""
        assignment = self._assignment
        if assignment is None:
            raise RuntimeError("step() before start()")
        try:
            self._shelf.tidy()
            if not self._begun:
                self._begin(assignment)
            return self._advance(assignment)
        except Exception as error:
            return self._report(assignment, failure=trouble(error))

    def _begin(self, assignment: Assignment) -> None:
        done, self._fell_back = self._shelf.resume(_read)
        self._iteration = done or 0
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
        checkpoint = self._shelf.add(self._iteration, self._write)
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
            move()
            time.sleep(self._step_s)
            if self._started_s is None:
                self._started_s = time.monotonic() - self._started_at
            if self._iteration % self._every == 0:
                loss = self._objective.loss(assignment.params, assignment.seed, self._iteration)
                self._curve.append(CurvePoint(self._iteration, time.time(), {"total_loss": loss}))

    def _write(self, directory: Path) -> None:
        (directory / STATE).write_text(json.dumps({"iteration": self._iteration}))

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
        fell_back, self._fell_back = self._fell_back, None
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
            fell_back=fell_back,
        )


def _facts(started_s: float | None) -> AttemptFacts:
    environment = {"masksweep": version("masksweep"), "python": platform.python_version()}
    return AttemptFacts(config="", environment=environment, started_s=started_s)


def _read(checkpoint: Path) -> int:
    iteration: int = json.loads((checkpoint / STATE).read_text())["iteration"]
    return iteration
