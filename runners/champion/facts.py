"""What is told of a champion without loading it: its categories, and how to read it."""

import json
from collections.abc import Mapping
from pathlib import Path

import yaml

from runners.regular_files import read_text
from sweeps.core.inference import InferenceSettings
from sweeps.core.spec import SweepSpec

MASK_THRESHOLD = 0.5
"""Detectron2's own, which has no config key for it."""


def categories_of(spec: SweepSpec) -> tuple[str, ...]:
    """Names of the validation data's categories in the order of the models' classes.

    A synthetic base has none.

    Raises:
        OSError: The annotations cannot be read.
        ValueError: They are no COCO JSON.
    """
    return tuple(name for _, name in _categories(spec))


def category_ids_of(spec: SweepSpec) -> tuple[int, ...]:
    """Ids of the validation data's categories in the order of the models' classes; as `categories_of`."""
    return tuple(category_id for category_id, _ in _categories(spec))


def _categories(spec: SweepSpec) -> list[tuple[int, str]]:
    if spec.base.synthetic is not None:
        return []
    document = json.loads(read_text(spec.data.val.annotations))
    try:
        return sorted((each["id"], each["name"]) for each in document["categories"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"{spec.data.val.annotations}: no COCO annotations") from error


def settings_of(spec: SweepSpec, metrics: Mapping[str, float], config: Path) -> InferenceSettings | None:
    """How to read a trained model in use: what its evaluation chose, or its config's where it chose nothing.

    Args:
        spec: Of its sweep.
        metrics: Of its last evaluation.
        config: Its `config.yaml`.

    Raises:
        OSError: The config cannot be read.
    """
    if spec.base.synthetic is not None:
        return None
    if "settings/score_threshold" in metrics:
        return InferenceSettings(
            metrics["settings/mask_threshold"],
            metrics["settings/score_threshold"],
            metrics["settings/nms_threshold"],
            int(metrics["settings/detections_per_image"]),
        )
    cfg = yaml.safe_load(config.read_text(encoding="utf-8"))
    heads = cfg["MODEL"]["ROI_HEADS"]
    default = InferenceSettings(
        MASK_THRESHOLD,
        heads["SCORE_THRESH_TEST"],
        heads["NMS_THRESH_TEST"],
        cfg["TEST"]["DETECTIONS_PER_IMAGE"],
    )
    return spec.inference.grid(default).combinations()[0]
