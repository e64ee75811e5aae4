"""The runner, found by the service through the entry point `masksweep.runners`."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from runners.annotations.audit import audit
from runners.base_files import strays
from runners.base_fingerprint import base_fingerprint
from runners.curves.objective import fingerprint
from runners.curves.worker import AnalyticWorker
from runners.probe import probe_points
from runners.probe_tasks import Builder
from runners.weights import weights_issue
from search_spaces.issues import SpecIssue
from search_spaces.parameters import Value
from sweeps.core.plan import Probe, Slots
from sweeps.core.spec import WEIGHT_WORDS, SweepSpec, spec_document, spec_from_document
from sweeps.core.trial import TrialWorker
from sweeps.launchers.runner import DriveOrder, Evaluation, IouType, Predicted, Preflight

CHECKPOINT_S = 60.0
"""Seconds of training that a lost worker may cost."""

CURVE_POINTS = 50
"""Points that a short trial's loss curve has at least; a long one has one every 20 iterations."""


class DetectronRunner:
    """Trains Mask R-CNN on Ray workers, or what stands for it."""

    def preflight(self, spec: SweepSpec, roots: Sequence[Path] = ()) -> Preflight:
        """Audits the data set; builds the base's model where it is not one of ours.

        A synthetic base has neither.
        """
        if spec.base.synthetic is not None:
            unread = SpecIssue("dataset", f"not read: {spec.base.synthetic} train on no data")
            found = fingerprint(spec.base)
            return Preflight((), (str(unread),) if spec.dataset else (), found, base=found)
        report = audit(spec, roots)
        issues, notes = _check_base(spec, max(1, len(report.categories)), roots)
        issues = report.issues + issues
        base = "" if issues else base_fingerprint(spec.base)
        return Preflight(issues, tuple(map(str, report.notes + notes)), report.fingerprint, base)

    def check_resources(self, spec: SweepSpec, ray_address: str | None) -> None:
        """Probes the cluster's address, or counts what this machine has."""
        from runners.cluster import check_pool  # noqa: PLC0415 - the audit alone needs no Ray

        check_pool(spec.resources, ray_address)

    def slots(self, spec: SweepSpec) -> Slots:
        """Counts what this machine has."""
        from runners.cluster import own_pool  # noqa: PLC0415 - the audit alone needs no Ray

        pool = own_pool(spec.resources)
        return Slots(pool.workers, pool.gpus)

    def probe(
        self, spec: SweepSpec, points: Sequence[dict[str, Value]], *, timed: int, seconds: float
    ) -> Probe:
        """Builds and trains the points for a few moments each."""
        return probe_points(spec, points, timed=timed, seconds=seconds)

    def drive(self, order: DriveOrder) -> None:
        """Runs the sweep's next epoch in this process."""
        from runners.driver import drive  # noqa: PLC0415 - the audit alone needs no Ray

        document = spec_document(order.service.sweep(order.sweep_id).spec)
        drive(order, partial(make_worker, document))

    def evaluate(
        self, annotations: Path, predictions: Path, iou_type: IouType, *, max_detections: int
    ) -> Evaluation:
        """Scores a file of COCO results."""
        from runners.evaluation.evaluate_file import evaluate_file  # noqa: PLC0415 - only this needs hotcoco

        return evaluate_file(annotations, predictions, iou_type, max_detections=max_detections)

    def predict(self, champion: Path, images: Sequence[Path], out: Path) -> Predicted:
        """Segments images on a GPU if there is one, else on the CPU."""
        from runners.detectron.predict import predict  # noqa: PLC0415 - imports torch

        return predict(champion, images, out)

    def write_dataset(self, directory: Path, *, train: int, val: int, size: int, seed: int) -> None:
        """Writes the synthetic data set and a spec for it."""
        from runners.synthetic import write_dataset  # noqa: PLC0415 - only this needs numpy

        write_dataset(directory, train=train, val=val, size=size, seed=seed)


def make_worker(document: str, *, checkpoint_s: float = CHECKPOINT_S) -> TrialWorker:
    """A worker for the spec in `document`; runs in an actor's process, where the heavy imports belong.

    Args:
        document: The spec.
        checkpoint_s: Seconds of training between two checkpoints.
    """
    spec = spec_from_document(document)
    if spec.base.synthetic is not None:
        return AnalyticWorker(spec, checkpoint_s=checkpoint_s)
    from runners.detectron.worker import DetectronWorker  # noqa: PLC0415 - torch, only in workers

    every = max(1, min(20, spec.fidelity.iterations // CURVE_POINTS))
    return DetectronWorker(spec, checkpoint_s=checkpoint_s, curve_every=every)


def make_builder(document: str) -> Builder | None:
    """What builds models of the spec in `document`; None if it has none to build."""
    spec = spec_from_document(document)
    if spec.base.synthetic is not None:
        return None
    from runners.detectron.build import ModelBuilder  # noqa: PLC0415 - torch, only in workers

    return ModelBuilder(spec)


def _check_base(
    spec: SweepSpec, num_classes: int, roots: Sequence[Path]
) -> tuple[tuple[SpecIssue, ...], tuple[SpecIssue, ...]]:
    """Problems of a base, and notes. The config of a preset has none: tests build every one of them."""
    if strayed := strays(spec.base, roots):
        return strayed, ()
    named = None if spec.base.weights in WEIGHT_WORDS else weights_issue(spec.base.weights)
    issues = (named,) if named is not None else ()
    if spec.base.preset is not None:
        return issues, ()
    from runners.detectron.base import check_base  # noqa: PLC0415 - imports Detectron2

    found, notes = check_base(spec, num_classes)
    return issues + found, notes
