"""What is told of a champion without loading it: its categories, and how to read it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from runners.regular_files import read_text
from search_spaces.issues import shown
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
        ValueError: It is no config of a Mask R-CNN.
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
    cfg = config_of(config)
    try:
        heads = cfg["MODEL"]["ROI_HEADS"]
        default = InferenceSettings(
            MASK_THRESHOLD,
            heads["SCORE_THRESH_TEST"],
            heads["NMS_THRESH_TEST"],
            cfg["TEST"]["DETECTIONS_PER_IMAGE"],
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"{config}: no config of a Mask R-CNN ({type(error).__name__}: {error})") from error
    return spec.inference.grid(default).combinations()[0]


def config_of(config: Path) -> Mapping[str, Any]:
    """The Detectron2 config of a trained model, as it is written.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no config.
    """
    try:
        cfg = yaml.safe_load(read_text(config))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"{config}: no YAML: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(cfg, dict):
        raise ValueError(f"{config}: got {shown(cfg)}, but a config is a mapping")
    return cfg
