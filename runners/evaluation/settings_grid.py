"""Every combination of inference settings scored from one pass, and the best one chosen."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runners.evaluation.aim import Aim
from runners.evaluation.candidates import Candidates
from runners.evaluation.coco import COCO_AREAS, IOU_THRESHOLDS, MAX_DETECTIONS, RECALLS
from runners.evaluation.image_truth import NOTHING
from runners.evaluation.inference_pass import Pass
from runners.evaluation.matching import Matches, match, precisions
from runners.evaluation.one_pass import BoxRule, rule_of
from runners.stall import move
from sweeps.core.inference import InferenceSettings


@dataclass(frozen=True, slots=True)
class Score:
    """How good settings are on some images.

    Attributes:
        ap: Average precision of the aim in percent, or None where there is no ground truth for it.
        lrp: Localisation recall precision error of all detections in percent, 0 is best; over all classes at
            IoU 0.5.
        f1: Harmonic mean of precision and recall at IoU 0.5 in percent.
    """

    ap: float | None
    lrp: float
    f1: float


class GridScorer:
    """Scores settings on any subset of a pass' images. Detections are matched once."""

    def __init__(
        self, done: Pass, classes: int, aim: Aim | None = None, *, max_detections: int = MAX_DETECTIONS
    ) -> None:
        """Matches everything.

        Args:
            done: A pass.
            classes: Number of categories.
            aim: What AP is wanted of; by default of everything.
            max_detections: An image's best detections of a category that count, at least 1.
        """
        aim = aim or Aim()
        self._pass, self._ious, self._limit = done, aim.ious, max_detections
        self._all_classes = tuple(range(classes))
        self._classes = self._all_classes if aim.classes is None else aim.classes
        ranges = list(dict.fromkeys((COCO_AREAS["all"], aim.area)))
        self._ranges, self._aimed = np.array(ranges), ranges.index(aim.area)
        self._images = sorted(done.images, key=lambda image: image.image_id)
        self._found = {
            (image.image_id, k): self._match(image, k) for image in self._images for k in self._all_classes
        }

    def scores(
        self, settings: Collection[InferenceSettings], images: Collection[int]
    ) -> dict[InferenceSettings, Score]:
        """The score of each of the settings on the images with these ids."""
        wanted = [image for image in self._images if image.image_id in images]
        by_rule: dict[BoxRule, list[InferenceSettings]] = {}
        for one in settings:
            by_rule.setdefault(rule_of(one), []).append(one)
        result: dict[InferenceSettings, Score] = {}
        for rule, some in by_rule.items():
            for place, score in enumerate(self._rule_scores(rule, wanted)):
                threshold = self._pass.mask_thresholds[place]
                result |= {one: score for one in some if one.mask_threshold == threshold}
        return result

    def _rule_scores(self, rule: BoxRule, images: Sequence[Candidates]) -> list[Score]:
        """One score for each mask threshold."""
        masks = len(self._pass.mask_thresholds)
        columns = []
        right, wrong, truths, error = np.zeros(masks), np.zeros(masks), 0, np.zeros(masks)
        for k in self._all_classes:
            move()
            parts, scores, counted = self._gathered(rule, images, k)
            matched = np.concatenate([part.matched for part in parts], axis=-1) if parts else None
            ignored = np.concatenate([part.ignored for part in parts], axis=-1) if parts else None
            truths += int(counted[0])
            if matched is not None and ignored is not None:
                good = matched[0, :, 0] & ~ignored[0, :, 0]
                iou = np.concatenate([part.iou for part in parts], axis=-1)
                right += good.sum(axis=-1)
                wrong += (~matched[0, :, 0] & ~ignored[0, :, 0]).sum(axis=-1)
                error += np.where(good, (1 - iou) / (1 - IOU_THRESHOLDS[0]), 0.0).sum(axis=-1)
            if k not in self._classes or not counted[self._aimed]:
                continue
            if matched is None or ignored is None:
                columns.append(np.zeros((masks, len(IOU_THRESHOLDS), len(RECALLS))))
                continue
            order = np.argsort(-scores, kind="mergesort")
            columns.append(
                precisions(
                    matched[self._aimed][..., order],
                    ignored[self._aimed][..., order],
                    int(counted[self._aimed]),
                )
            )
        aps: list[float | None] = [None] * masks
        if columns:
            table = np.stack(columns, axis=-1)[:, self._ious]  # (M, T, R, K)
            aps = [float(np.mean(one[one > -1]) * 100) for one in table]
        total = right + wrong + (truths - right)
        lrp = np.divide(error + wrong + truths - right, total, out=np.ones(masks), where=total > 0)
        f1 = np.divide(2 * right, total + right, out=np.zeros(masks), where=total + right > 0)
        return [
            Score(ap, float(its_lrp * 100), float(its_f1 * 100))
            for ap, its_lrp, its_f1 in zip(aps, lrp, f1, strict=True)
        ]

    def _gathered(
        self, rule: BoxRule, images: Sequence[Candidates], k: int
    ) -> tuple[list[Matches], NDArray[np.float32], NDArray[np.int64]]:
        """The images' matches, their scores, and the ground truths that count in each area range."""
        parts, scores = [], [np.zeros(0, np.float32)]
        counted = np.zeros(len(self._ranges), np.int64)
        for image in images:
            truth = self._pass.truths.get((image.image_id, k), NOTHING)
            inside = (truth.areas >= self._ranges[:, :1]) & (truth.areas <= self._ranges[:, 1:])
            counted += (inside & ~truth.crowd).sum(axis=1)
            found = self._found[image.image_id, k].get(rule)
            if found is not None:
                parts.append(found[0])
                scores.append(found[1])
        return parts, np.concatenate(scores), counted

    def _match(self, image: Candidates, k: int) -> dict[BoxRule, tuple[Matches, NDArray[np.float32]]]:
        """Matches under each rule. A rule that keeps the best of what another keeps needs no matching."""
        move()
        over = image.overlaps.get(k)
        result: dict[BoxRule, tuple[Matches, NDArray[np.float32]]] = {}
        if over is None or not len(over.rows):
            return result
        truth = self._pass.truths.get((image.image_id, k), NOTHING)
        known: list[tuple[tuple[int, ...], Matches]] = []
        lists = {
            rule: tuple(int(row) for row in rows if image.classes[row] == k)[: self._limit]
            for rule, rows in image.kept.items()
        }
        for rule, rows in sorted(lists.items(), key=lambda item: -len(item[1])):
            if not rows:
                continue
            longer = (found.first(len(rows)) for its, found in known if its[: len(rows)] == rows)
            found = next(longer, None)
            if found is None:
                found = match(*over.of(rows), truth.areas, truth.crowd, self._ranges)
                known.append((rows, found))
            result[rule] = found, image.scores[list(rows)]
        return result
