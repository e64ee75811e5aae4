"""Two models on today's validation data: in a process with a device, as trials have it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from runners.champion.files import Entrant, missing
from runners.evaluation.paired import Difference, MeanRun, Run, difference
from search_spaces.issues import printable
from sweeps.core.spec import SweepSpec, spec_from_document


@dataclass(frozen=True, slots=True)
class Contest:
    """What is to be compared.

    Attributes:
        candidate: Whose spec has the data and the metric for both.
        champion: The other one.
        confidence: Of the bounds, 0.5 to 1.
        among: Candidates that this one was the best of, at least 1.
        gpus: Share of a GPU that the process holds; 0: it uses the CPU.
    """

    candidate: Entrant
    champion: Entrant
    confidence: float
    among: int
    gpus: float


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why two models cannot be compared, in a line; `printable`, since it is stored."""

    reason: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "reason", printable(self.reason))


def hold(contest: Contest) -> Difference | Refusal:
    """Evaluates both models and compares them. Raises nothing: what goes wrong is a refusal."""
    spec = spec_from_document(contest.candidate.spec)
    try:
        sides: list[Sequence[Run]] = [
            _runs(spec, entrant, contest.gpus) for entrant in (contest.candidate, contest.champion)
        ]
        return difference(sides[0], sides[1], confidence=contest.confidence, chosen_among=contest.among)
    except Exception as error:  # a checkpoint that does not fit, data that is gone, memory
        said = " ".join(str(error).split()) or type(error).__name__
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        return Refusal(f"{kind}{said}"[:500])


def _runs(spec: SweepSpec, entrant: Entrant, gpus: float) -> Sequence[Run]:
    metric = spec.objectives[0].metric
    if spec.base.synthetic is not None:
        from runners.curves.objective import Objective  # noqa: PLC0415 - only a synthetic base has one

        if spec_from_document(entrant.spec).base.synthetic is None:
            raise ValueError("the champion is a real model, and tonight's base is synthetic")
        objective = Objective.of(spec)
        return [
            MeanRun(np.array(objective.image_values(metric, run.params, run.seed, run.iteration)))
            for run in entrant.runs
        ]
    if gone := missing(entrant):
        raise ValueError(f"no such file: {', '.join(gone)}")
    from runners.detectron.scoring import score_runs  # noqa: PLC0415 - imports torch

    return score_runs(spec, entrant, gpus=gpus)
