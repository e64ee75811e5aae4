"""Segments images with a model that was kept, at the settings that it is to be used with."""

import itertools
import json
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml

from runners.champion import files
from runners.checkpoints import CheckpointInvalid, check
from runners.detectron.data import IMAGES
from runners.detectron.environment import limit_threads
from runners.detectron.kept import load_kept
from runners.detectron.mapper import TestMapper
from runners.evaluation.candidates import candidates_of, place
from runners.evaluation.detections import Detections
from runners.evaluation.one_pass import infer, rule_of
from runners.evaluation.overlay import overlay
from search_spaces.issues import SpecIssue
from sweeps.champion_files import is_used
from sweeps.core.errors import SpecInvalid, UserError
from sweeps.core.inference import InferenceSettings
from sweeps.launchers.runner import Predicted, PredictedImage

PREDICTIONS = "predictions.json"

_BROKEN = (
    *(CheckpointInvalid, OSError, ValueError, TypeError, KeyError, RuntimeError, AssertionError),
    *(pickle.UnpicklingError, yaml.YAMLError),
)
"""What comes of files that are damaged, or of another version's."""


def predict(champion: Path, images: Sequence[Path], out: Path) -> Predicted:
    """See `Runner.predict`."""
    try:
        check(champion, is_used)
        kept = files.read(champion)
        names = kept.categories or ()
        ids = kept.category_ids or tuple(range(1, len(names) + 1))
        settings = InferenceSettings(**json.loads((champion / files.SETTINGS).read_text(encoding="utf-8")))
        device = "cuda" if torch.cuda.is_available() else "cpu"
        limit_threads()
        cfg, model = load_kept(champion / "config.yaml", champion / "model.pth", device)
    except _BROKEN as error:
        raise UserError(f"the champion in {champion} cannot be loaded: {error}") from error
    mapper, records = TestMapper(cfg), _records(images, cfg.INPUT.FORMAT)
    overlays = _overlays(images, out)
    found: list[Detections] = []
    try:
        out.mkdir(parents=True, exist_ok=True)
        for record, path in zip(records, overlays, strict=True):
            found.append(_segment(model, mapper(record), settings))
            picture = IMAGES.get(record["file_name"], "RGB")
            overlay(picture, found[-1], names).save(path)
        document = _document(records, found, dict(zip(ids, names, strict=True)))
        (out / PREDICTIONS).write_text(json.dumps(document), encoding="utf-8")
    except OSError as error:
        raise UserError(f"nothing can be written to {out}: {error.strerror or error}") from error
    told = zip(images, overlays, found, strict=True)
    return Predicted(
        tuple(PredictedImage(image, path, len(its.scores)) for image, path, its in told),
        out / PREDICTIONS,
        own_ids=kept.category_ids is not None,
    )


def _segment(model: Any, item: Mapping[str, Any], settings: InferenceSettings) -> Detections:
    rule = rule_of(settings)
    with torch.inference_mode():
        (union,) = infer(model, [item], [rule])
        placed = place(item, union)
        kept = candidates_of(item, union, placed, thresholds=(settings.mask_threshold,), truths={}, planes={})
    rows = kept.kept[rule]
    masks = [kept.masks[row].encode(1) for row in rows]
    return Detections(kept.image_id, kept.boxes[rows], kept.scores[rows], kept.classes[rows], masks)


def _records(images: Sequence[Path], image_format: str) -> list[dict[str, Any]]:
    """Detectron2's record of each image, numbered from 1.

    Raises:
        SpecInvalid: With every image that cannot be read.
    """
    records: list[dict[str, Any]] = []
    issues = []
    for number, path in enumerate(images, 1):
        try:
            height, width = IMAGES.get(str(path), image_format).shape[:2]
        except FileNotFoundError:
            issues.append(SpecIssue(str(path), "no such file"))
        except Exception as error:  # Pillow has many words for what is no image
            issues.append(SpecIssue(str(path), f"cannot be read as an image: {error}"))
        else:
            records.append({"file_name": str(path), "image_id": number, "height": height, "width": width})
    if issues:
        raise SpecInvalid(issues)
    return records


def _overlays(images: Sequence[Path], out: Path) -> list[Path]:
    """A PNG of its own for each image, and none of the images themselves."""
    taken = {image.resolve() for image in images}
    found = []
    for image in images:
        names = (f"{image.stem}-found{f'-{n}' if n > 1 else ''}.png" for n in itertools.count(1))
        path = next(out / name for name in names if (out / name).resolve() not in taken)
        taken.add(path.resolve())
        found.append(path)
    return found


def _document(
    records: Sequence[Mapping[str, Any]], found: Sequence[Detections], categories: Mapping[int, str]
) -> dict[str, Any]:
    """The COCO file; `categories` are names by id, in the order of the classes."""
    ids = list(categories)
    annotations: list[dict[str, Any]] = []
    for its in found:
        for box, score, k, mask in zip(its.boxes, its.scores, its.classes, its.masks or (), strict=True):
            x0, y0, x1, y1 = (float(side) for side in box)
            counts = mask["counts"]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": its.image_id,
                    "category_id": ids[int(k)],
                    "score": float(score),
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "iscrowd": 0,
                    "segmentation": {
                        "size": list(mask["size"]),
                        "counts": counts.decode() if isinstance(counts, bytes) else counts,
                    },
                }
            )
    return {
        "images": [
            {"id": r["image_id"], "file_name": r["file_name"], "width": r["width"], "height": r["height"]}
            for r in records
        ],
        "categories": [{"id": number, "name": name} for number, name in categories.items()],
        "annotations": annotations,
    }
