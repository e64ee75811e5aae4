"""Pruning by a signed-rank test over images: a trial stops once the best is clearly better on the same ones.

Optuna's WilcoxonPruner compares two trials value by value. It is asked on a study of its own, in which the
values of a trial are its validation images' scores at one rung.
"""

import warnings
from collections.abc import Mapping, Sequence

import optuna
from optuna.pruners import WilcoxonPruner
from optuna.trial import TrialState as OptunaState
from optuna.trial import create_trial

from sweeps.core.details import ImageScores
from sweeps.core.ranking import bounds_of, objectives_of, scores, violation
from sweeps.core.spec import SweepSpec
from sweeps.core.states import TrialState
from sweeps.pruning.rules import Reading


class ImageRule:
    """Compares a trial at a rung with what the best of the completed ones was there.

    Image scores are many: only those of open trials and of the best are kept, as nobody else can become it.

    Args:
        spec: The sweep's spec.
        known: Trials numbered below are of earlier sweeps, and passed over.
    """

    def __init__(self, spec: SweepSpec, known: int = 0) -> None:
        self._known = known
        self._objectives, self._bounds = objectives_of(spec), bounds_of(spec)
        self._warmup, self._startup = spec.pruner.warmup_rungs, spec.pruner.startup_trials
        self._least = spec.pruner.min_images
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._pruner = WilcoxonPruner(
                p_threshold=spec.pruner.p_threshold, n_startup_steps=spec.pruner.min_images
            )
        self._scores: dict[int, dict[int, ImageScores]] = {}  # by trial and rung
        self._violation: dict[tuple[int, int], float] = {}  # by trial and rung
        self._completed = 0
        self._best: tuple[float, float, int] | None = None  # violation, value with less as better, number

    def take(self, reading: Reading) -> None:
        """Takes a reading in, and its image scores if it has them."""
        if reading.number < self._known:
            return
        measured = [bound for bound in self._bounds if bound[0] in reading.metrics]
        self._violation[reading.number, reading.rung] = violation(reading.metrics, measured)
        kept = self._scores.setdefault(reading.number, {})
        if reading.details is not None and reading.details.images is not None:
            kept[reading.rung] = reading.details.images

    def wanted(self) -> Sequence[int]:
        """Numbers of the trials whose image scores may be compared, now or later."""
        return sorted(self._scores)

    def recall(self, number: int, rung: int, images: ImageScores) -> None:
        """Takes in the image scores of a reading that came without them."""
        self._scores[number][rung] = images

    def end(self, number: int, state: TrialState, metrics: Mapping[str, float]) -> None:
        """Takes an end in: one that completed may be the best from now on; what others scored is dropped."""
        if number < self._known:
            return
        got = scores(metrics, self._objectives) if state is TrialState.COMPLETED else None
        if got is None:
            self._scores.pop(number, None)
            return
        self._completed += 1
        place = (violation(metrics, self._bounds), -got[0], number)
        first, *behind = sorted([place] if self._best is None else [self._best, place])
        self._best = first
        for _, _, other in behind:
            self._scores.pop(other, None)

    def against(self, number: int, rung: int) -> str | None:
        """Why the best is better; None as long as that is not sure, or the trial breaks constraints less."""
        if self._best is None or rung < self._warmup or self._completed < self._startup:
            return None
        broken, _, best = self._best
        mine = self._scores.get(number, {}).get(rung)
        theirs = self._scores.get(best, {}).get(rung)
        if mine is None or theirs is None or self._violation[number, rung] < broken:
            return None
        other = dict(zip(theirs.image_ids, theirs.scores, strict=True))
        pairs = [
            (score, other[image])
            for image, score in zip(mine.image_ids, mine.scores, strict=True)
            if image in other
        ]
        if len(pairs) < self._least or not self._worse(pairs):
            return None
        there = f"those of trial {best - self._known} there"
        return f"masks fit worse than {there}, on the same {len(pairs)} images"

    def _worse(self, pairs: Sequence[tuple[float, float]]) -> bool:
        ours, theirs = (dict(enumerate(column)) for column in zip(*pairs, strict=True))
        study = optuna.create_study(direction="maximize")
        mean = sum(theirs.values()) / len(theirs)
        study.add_trial(create_trial(value=mean, intermediate_values=theirs))
        return self._pruner.prune(study, create_trial(state=OptunaState.RUNNING, intermediate_values=ours))
