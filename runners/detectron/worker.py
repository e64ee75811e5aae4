"""Runs trials one after another in one warm process: imports, annotations and decoded images stay."""

import gc
import os
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from detectron2.config import CfgNode

from runners.checkpoints import Shelf
from runners.detectron.checkpoint import read_files, write_files
from runners.detectron.config import build_config, choose_device, portable_config, settings_grid
from runners.detectron.data import IMAGES, RegisteredData, dataset_dicts, register
from runners.detectron.environment import environment, keep_freed_memory, limit_threads
from runners.detectron.failures import Stage, failure_of
from runners.detectron.mapper import TestMapper, TrainMapper
from runners.detectron.model import build_model, load_weights
from runners.detectron.stream import train_loader
from runners.detectron.trainer import Stop, Trainer, seed_everything
from runners.evaluation.coco import load_ground_truth
from runners.evaluation.evaluate import Evaluation, ValidationSet, evaluate
from runners.memory import DEVICE, HOST, MemoryWatch, resident_bytes
from sweeps.core.details import EvaluationDetails
from sweeps.core.size_bins import all_bins
from sweeps.core.spec import SweepSpec
from sweeps.core.trial import Assignment, AttemptFacts, CurvePoint, Failure, FailureKind, FellBack, Report


@dataclass(slots=True)
class _Run:
    """An attempt in progress: everything that is dropped when the next one starts."""

    cfg: CfgNode
    trainer: Trainer
    skipped_weights: tuple[str, ...]


class DetectronWorker:
    """A `TrialWorker` that trains Mask R-CNN.

    One trial at a time: the random number generators it uses are the process's own.
    """

    def __init__(
        self,
        spec: SweepSpec,
        *,
        checkpoint_s: float = 60.0,
        curve_every: int = 20,
        device: str | None = None,
    ) -> None:
        """Cheap; data and models are loaded when the first trial needs them.

        Args:
            spec: The sweep whose trials it runs.
            checkpoint_s: Seconds of training between two checkpoints.
            curve_every: Iterations between two points of the loss curve.
            device: `cpu`, `cuda` or `cuda:<n>`; by default a GPU if a trial holds one and there is one.
        """
        self._spec = spec
        self._checkpoint_s = checkpoint_s
        self._curve_every = curve_every
        self._device = device
        judged_by = [*(o.metric for o in spec.objectives), *(c.metric for c in spec.constraints)]
        self._judged_by_cost = any(name.startswith(("latency/", "memory/")) for name in judged_by)
        self._data: RegisteredData | None = None
        self._assignment: Assignment | None = None
        self._run: _Run | None = None
        self._memory = MemoryWatch(self._held_bytes)
        self._evaluated = False

    def worn_out(self) -> str | None:
        """What it holds beyond what it held after its first trial, or None. Frees the last model.

        What the first evaluation loads stays loaded: before one, there is nothing to compare with.
        """
        self._release(failed=False)
        return self._memory.look() if self._evaluated else None

    def _held_bytes(self) -> dict[str, int]:
        """Without the decoded images, which are kept on purpose and have a limit of their own."""
        held = {HOST: (resident_bytes() or 0) - IMAGES.size_bytes}
        if (self._device or "").startswith("cuda"):
            held[DEVICE] = torch.cuda.memory_allocated(self._device)
        return held

    def start(self, assignment: Assignment) -> None:
        """Takes an assignment; the work happens in `step`."""
        self._release(failed=False)
        self._assignment = assignment
        self._started_at = self._reported_at = time.monotonic()
        self._iteration = assignment.iteration
        self._facts_sent = False
        self._shelf = Shelf(assignment)
        self._fell_back: FellBack | None = None

    def step(self) -> Report:
        """Trains until there is a rung, a checkpoint, a pause or a failure to report. Raises nothing."""
        assignment = self._assignment
        if assignment is None:
            raise RuntimeError("step() before start()")
        stage = Stage.RUNNING
        failure: Failure
        try:
            self._shelf.tidy()
            if self._run is None:
                if os.path.exists(assignment.pause_file):
                    return self._report(assignment, checkpoint=assignment.checkpoint, paused=True)
                self._prepare_process(assignment)
                stage = Stage.BUILDING
                cfg, trainer = self._build(assignment)
                stage = Stage.RUNNING
                self._run = self._begin(assignment, cfg, trainer)
            return self._advance(assignment, self._run)
        except Exception as error:
            failure = failure_of(error, stage)
        curve = self._run.trainer.take_curve() if self._run else ()
        report = self._report(assignment, curve=curve, failure=failure)
        self._release(failed=True)
        return report

    def _prepare_process(self, assignment: Assignment) -> None:
        """What is done once a process and then kept."""
        if self._data is not None:
            return
        limit_threads()
        # Written for users of Detectron2's code, which here nobody but Detectron2 is.
        warnings.filterwarnings("ignore", module=r"(detectron2|fvcore|torch)\b")
        if self._device is None:
            self._device = choose_device(assignment.gpus, cuda=torch.cuda.is_available())
        if self._device == "cpu":
            keep_freed_memory()
        self._data = register(self._spec)
        load_ground_truth(Path(self._spec.data.val.annotations))
        gc.collect()
        gc.freeze()  # libraries and annotations live as long as the process: collections need not visit them

    def _build(self, assignment: Assignment) -> tuple[CfgNode, Trainer]:
        """Config, model and optimizer, from the parameters alone."""
        assert self._data is not None
        assert self._device is not None
        seed_everything(assignment.seed)
        cfg = build_config(
            self._spec,
            assignment.params,
            seed=assignment.seed,
            output_dir=assignment.directory,
            num_classes=self._data.num_classes,
            device=self._device,
            data=self._data,
        )
        torch.backends.cudnn.benchmark = cfg.CUDNN_BENCHMARK
        trainer = Trainer(
            cfg, build_model(cfg), curve_every=self._curve_every, pause_file=assignment.pause_file
        )
        return cfg, trainer

    def _begin(self, assignment: Assignment, cfg: CfgNode, trainer: Trainer) -> _Run:
        """Weights and data."""
        assert self._data is not None
        skipped: tuple[str, ...] = ()
        checkpoint, self._fell_back = self._shelf.resume(read_files)
        if checkpoint is None:
            skipped = load_weights(trainer.model, cfg.MODEL.WEIGHTS)
        else:
            trainer.restore(checkpoint)
        records = dataset_dicts(self._data.train)
        trainer.feed(
            train_loader(
                cfg,
                records,
                TrainMapper(cfg, seed=assignment.seed, donors=records),
                seed=assignment.seed,
                start_iteration=trainer.iteration,
                batch_size=cfg.SOLVER.IMS_PER_BATCH,
            )
        )
        return _Run(cfg, trainer, skipped)

    def _advance(self, assignment: Assignment, run: _Run) -> Report:
        trainer = run.trainer
        last = assignment.rungs[-1]
        next_rung = next((rung for rung in assignment.rungs if rung > trainer.iteration), last)
        before = trainer.iteration
        stop = trainer.train(next_rung, deadline=time.monotonic() + self._checkpoint_s)
        finished = trainer.iteration >= last
        # A rung is measured when it is reached: a pause right behind it does not measure it again.
        reached = trainer.iteration in assignment.rungs and trainer.iteration > before
        found = self._evaluate(run, last=finished) if reached or finished else None
        metrics = found.metrics if found else None
        content, config = trainer.checkpoint(), portable_config(run.cfg)
        path = self._shelf.add(trainer.iteration, lambda directory: write_files(directory, content, config))
        paused = not finished and (stop is Stop.PAUSED or os.path.exists(assignment.pause_file))
        report = self._report(
            assignment,
            metrics=metrics,
            details=found.details if found else None,
            checkpoint=str(path),
            curve=trainer.take_curve(),
            paused=paused,
            failure=self._unmeasured(metrics) if finished else None,
        )
        if finished or paused:
            self._release(failed=False)
        return report

    def _evaluate(self, run: _Run, *, last: bool) -> Evaluation:
        assert self._data is not None
        self._evaluated = True
        mapper = TestMapper(run.cfg)
        truth = load_ground_truth(Path(self._spec.data.val.annotations))
        return evaluate(
            run.trainer.model,
            ValidationSet(truth, map(mapper, dataset_dicts(self._data.val))),
            settings_grid(run.cfg, self._spec),
            objective=self._spec.objectives[0].metric,
            size_bins=all_bins(self._spec.metrics.size_bins),
            # training changes it little: who does not search by it sees that of the finished model
            cost=last or self._judged_by_cost,
        )

    def _unmeasured(self, metrics: Mapping[str, float] | None) -> Failure | None:
        missing = [o.metric for o in self._spec.objectives if o.metric not in (metrics or {})]
        if not missing:
            return None
        return Failure(
            FailureKind.UNMEASURED, f"{', '.join(missing)} could not be measured on the validation data"
        )

    def _report(
        self,
        assignment: Assignment,
        *,
        metrics: Mapping[str, float] | None = None,
        details: EvaluationDetails | None = None,
        checkpoint: str | None = None,
        curve: tuple[CurvePoint, ...] = (),
        failure: Failure | None = None,
        paused: bool = False,
    ) -> Report:
        now = time.monotonic()
        worker_s, self._reported_at = now - self._reported_at, now
        run, facts = self._run, None
        fell_back, self._fell_back = self._fell_back, None
        if run is not None:
            self._iteration = run.trainer.iteration
            if not self._facts_sent:
                self._facts_sent = True
                facts = self._facts(run)
        return Report(
            number=assignment.number,
            attempt=assignment.attempt,
            iteration=self._iteration,
            at=time.time(),
            worker_s=worker_s,
            metrics=metrics,
            details=details,
            checkpoint=checkpoint,
            curve=curve,
            facts=facts,
            failure=failure,
            paused=paused,
            fell_back=fell_back,
        )

    def _facts(self, run: _Run) -> AttemptFacts:
        first = run.trainer.first_iteration_at
        return AttemptFacts(
            config=run.cfg.dump(),
            environment=environment(run.cfg.MODEL.DEVICE),
            skipped_weights=run.skipped_weights,
            started_s=None if first is None else first - self._started_at,
        )

    def _release(self, *, failed: bool) -> None:
        """Frees the model before there is another one."""
        self._run = None
        if failed or (self._device or "").startswith("cuda"):
            gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
