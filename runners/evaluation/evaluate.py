"""Evaluates a model at a rung: one inference pass, the choice of its settings, then all metrics."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from runners.evaluation.aim import Aim, aim_of
from runners.evaluation.choice import Choice, choose
from runners.evaluation.coco import MAX_DETECTIONS
from runners.evaluation.detections import Detections
from runners.evaluation.inference_pass import BATCH_SIZE, TIMED_IMAGES, Pass, run_pass
from runners.evaluation.judge import judge
from runners.evaluation.metrics import evaluate_detections
from runners.evaluation.settings_grid import GridScorer
from runners.evaluation.truth import GroundTruth
from sweeps.core.details import EvaluationDetails, SettingScore, SettingScores
from sweeps.core.inference import InferenceSettings, SettingsGrid
from sweeps.core.size_bins import STANDARD_BINS, SizeBins


@dataclass(frozen=True, slots=True)
class ValidationSet:
    """What a model is evaluated on.

    Attributes:
        truth: Indexed annotations.
        inputs: Detectron2 test inputs, one an image; gone through once an evaluation.
    """

    truth: GroundTruth
    inputs: Iterable[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a model is worth.

    Attributes:
        metrics: By the names of `sweeps.core.metrics`; what cannot be measured is absent.
        details: What does not fit into numbers.
    """

    metrics: dict[str, float]
    details: EvaluationDetails


def evaluate(
    model: nn.Module,
    val: ValidationSet,
    grid: SettingsGrid,
    *,
    objective: str = "segm/AP",
    batch_size: int = BATCH_SIZE,
    size_bins: SizeBins = STANDARD_BINS,
    cost: bool = True,
) -> Evaluation:
    """Measures everything at the best settings of a grid; each image is judged by settings that others chose.

    Args:
        model: A Detectron2 model with a mask head; left in the mode it was in.
        val: The validation set.
        grid: Settings to choose among; AP counts 100 detections an image or the grid's, if it has more.
        objective: Metric to choose them by, if it is an AP of masks; by `segm/AP` otherwise.
        batch_size: Images a batch at most.
        size_bins: Name -> (low, high) in px, to measure the AP of masks in.
        cost: Whether latency and memory are measured as well, which takes a fifth longer on 60 images.
    """
    timed_images = TIMED_IMAGES if cost else 0
    done = run_pass(model, val.truth, val.inputs, grid, batch_size=batch_size, timed_images=timed_images)
    limit = limit_of(grid)
    metrics = dict(done.cost)
    aimed, aim = aim_of(objective, val.truth.names, size_bins)
    choice, detections = judged_detections(done, val.truth, grid, aim, limit)
    metrics |= evaluate_detections(val.truth, detections, max_detections=limit, size_bins=size_bins)
    worth, details = judge(val.truth, detections, masks=done.calibration)
    metrics |= worth
    if choice is not None:
        settings = _setting_scores(choice, grid, aimed, metrics.get(aimed))
        details = replace(details, settings=settings)
        metrics |= _settings_metrics(choice, metrics.get(aimed))
    return Evaluation(metrics, details)


def limit_of(grid: SettingsGrid) -> int:
    """Detections an image and category that count: COCO's 100, or the grid's, if it has more."""
    return max(MAX_DETECTIONS, *grid.detections_per_image, grid.default.detections_per_image)


def judged_detections(
    done: Pass, truth: GroundTruth, grid: SettingsGrid, aim: Aim, limit: int
) -> tuple[Choice | None, list[Detections]]:
    """What a model says of each image at settings that were chosen on others.

    Args:
        done: A pass.
        truth: The annotations of its images.
        grid: What may be chosen.
        aim: What it is chosen by.
        limit: As `limit_of` has it.

    Returns:
        The choice, None where there is none; and one item an image.
    """
    judged_by: Mapping[int, InferenceSettings] = {}
    choice: Choice | None = None
    if len(grid.combinations()) > 1:
        scorer = GridScorer(done, len(truth.names), aim, max_detections=limit)
        choice = choose(scorer, grid, [image.image_id for image in done.images])
        judged_by = choice.judged_by
    only = grid.combinations()[0]
    return choice, [done.detections(image, judged_by.get(image.image_id, only)) for image in done.images]


def _settings_metrics(choice: Choice, judged: float | None) -> dict[str, float]:
    chosen, best = choice.operating, choice.scores[choice.chosen].ap
    metrics = {
        "settings/mask_threshold": chosen.mask_threshold,
        "settings/score_threshold": chosen.score_threshold,
        "settings/nms_threshold": chosen.nms_threshold,
        "settings/detections_per_image": float(chosen.detections_per_image),
    }
    found = {"AP_default": choice.scores[choice.default].ap, "AP_best": best, "AP_crossfit": judged}
    return metrics | {f"settings/{name}": value for name, value in found.items() if value is not None}


def _setting_scores(
    choice: Choice, grid: SettingsGrid, objective: str, judged: float | None
) -> SettingScores | None:
    """The grid for a heat map; the chosen setting with the value that it is judged by."""
    if judged is None:
        return None
    scores = tuple(
        _setting_score(one, score.ap)
        for one in grid.combinations()
        if (score := choice.scores[one]).ap is not None
    )
    default = choice.scores[choice.default].ap
    return SettingScores(
        objective,
        scores,
        _setting_score(choice.chosen, judged),
        None if default is None else _setting_score(choice.default, default),
    )


def _setting_score(settings: InferenceSettings, value: float) -> SettingScore:
    return SettingScore(
        settings.mask_threshold,
        settings.score_threshold,
        settings.nms_threshold,
        settings.detections_per_image,
        value,
    )
