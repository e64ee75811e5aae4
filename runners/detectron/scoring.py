"""Trained models evaluated on a sweep's validation data, for a comparison image by image."""

from pathlib import Path

import torch

from runners.champion.files import Entrant
from runners.detectron.config import choose_device, settings_grid
from runners.detectron.data import dataset_dicts, register
from runners.detectron.environment import limit_threads
from runners.detectron.kept import load_kept
from runners.detectron.mapper import TestMapper
from runners.evaluation.aim import aim_of
from runners.evaluation.ap_run import ap_run
from runners.evaluation.coco import load_ground_truth
from runners.evaluation.evaluate import judged_detections, limit_of
from runners.evaluation.inference_pass import run_pass
from runners.evaluation.paired import ApRun
from sweeps.core.size_bins import all_bins
from sweeps.core.spec import SweepSpec, spec_from_document


def score_runs(spec: SweepSpec, entrant: Entrant, *, gpus: float) -> list[ApRun]:
    """Each run of a model through the one pass, as a trial is evaluated at its end.

    A model chooses among the inference settings of its own spec, each half of the images by the other, so
    that neither of two models gains by settings that fit the very images on which they are compared.

    Args:
        spec: Whose validation data and first objective count.
        entrant: The model.
        gpus: Share of a GPU that this process holds.

    Raises:
        OSError: Data or a checkpoint cannot be read.
        ValueError: A checkpoint does not fit its config, or the data has nothing to measure.
    """
    limit_threads()
    device = choose_device(gpus, cuda=torch.cuda.is_available())
    data, truth = register(spec), load_ground_truth(Path(spec.data.val.annotations))
    metric, bins = spec.objectives[0].metric, all_bins(spec.metrics.size_bins)
    its_spec = spec_from_document(entrant.spec)
    found = []
    for run in entrant.runs:
        cfg, model = load_kept(run.file("config.yaml"), run.file("model.pth"), device)
        classes = cfg.MODEL.ROI_HEADS.NUM_CLASSES
        if classes != data.num_classes:
            raise ValueError(f"the model has {classes} classes, and the data has {data.num_classes}")
        grid = settings_grid(cfg, its_spec)
        inputs = map(TestMapper(cfg), dataset_dicts(data.val))
        done = run_pass(model, truth, inputs, grid, timed_images=0)
        limit = limit_of(grid)
        _, detections = judged_detections(done, truth, grid, aim_of(metric, truth.names, bins)[1], limit)
        found.append(ap_run(metric, truth, detections, size_bins=bins, max_detections=limit))
    return found
