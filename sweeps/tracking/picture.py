"""What MLflow should show of a sweep and of an attempt: pure functions of the store's records."""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import assert_never

from sweeps.core.finals import Finals
from sweeps.core.ranking import bounds_of, leader, objectives_of
from sweeps.core.replicates import repeat_of, searched
from sweeps.core.spec import SweepSpec
from sweeps.core.states import AttemptState, SweepState, TrialState
from sweeps.core.trial import Measurement
from sweeps.records import AttemptRecord, CurveRecord, SweepRecord, TrialRecord
from sweeps.tracking.names import MAX_TAG_VALUE, clipped, legal_name, legal_names, param_text
from sweeps.warm.plan import Origin, WarmSummary

SWEEP_TAG = "masksweep.sweep_id"
TRIAL_TAG = "masksweep.trial"
ATTEMPT_TAG = "masksweep.attempt"
REPLICATE_TAG = "masksweep.replicate_of"
PARENT_TAG = "mlflow.parentRunId"

MAX_DIGEST = 36  # of an MLflow data set


@dataclass(frozen=True, slots=True)
class RunPicture:
    """A run as it should look. Times in milliseconds since the Unix epoch; `status` is one of MLflow's."""

    name: str
    status: str
    started_ms: int
    ended_ms: int | None
    tags: Mapping[str, str]
    params: Mapping[str, str]

    def digest(self) -> str:
        """Changes whenever tags, status or end do; a run's params and start never change."""
        shown = json.dumps([self.status, self.ended_ms, sorted(self.tags.items())])
        return hashlib.sha256(shown.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Point:
    """One value of a metric."""

    key: str
    value: float
    at_ms: int
    step: int


@dataclass(frozen=True, slots=True)
class DatasetPicture:
    """A data set as a run's input; `context` is "train" or "val", `digest` at most 36 characters."""

    name: str
    digest: str
    source: str
    context: str


def sweep_picture(
    sweep: SweepRecord, trials: Iterable[TrialRecord], warm: WarmSummary | None = None
) -> RunPicture:
    """The parent run of a sweep."""
    spec, trials = sweep.spec, list(trials)
    own, again = searched(trials), [trial for trial in trials if trial.replicate_of is not None]
    ended = [trial for trial in trials if trial.state.terminal]
    best = Finals(spec).leader(ended, settled=sweep.state.terminal)
    tags = {
        SWEEP_TAG: sweep.sweep_id,
        "masksweep.sweep": sweep.name,
        "masksweep.state": sweep.state.value,
        "masksweep.reason": sweep.reason or "",
        "masksweep.objectives": ", ".join(f"{o.goal} {o.metric}" for o in spec.objectives),
        "masksweep.constraints": ", ".join(_constraint(*bound) for bound in bounds_of(spec)),
        "masksweep.budget": sweep.budget.model_dump_json(exclude_defaults=True),
        "masksweep.trials": _counts(own),
        **({"masksweep.replicates": _counts(again)} if again else {}),
        "masksweep.best_trial": str(best.number) if best else "",
        "masksweep.dataset_fingerprint": sweep.fingerprint,
    }
    if warm is not None:
        tags["masksweep.warm_start"] = str(warm)
    return RunPicture(
        name=sweep.name,
        status=_sweep_status(sweep.state),
        started_ms=_ms(sweep.created_at),
        ended_ms=None if sweep.ended_at is None else _ms(sweep.ended_at),
        tags=_tags(tags),
        params={},
    )


def attempt_picture(
    sweep: SweepRecord,
    trial: TrialRecord,
    attempt: AttemptRecord,
    parent_run_id: str,
    rerun_of: Origin | None = None,
) -> RunPicture:
    """The child run of an attempt; `rerun_of` is the earlier sweep's trial that its trial tries again."""
    ended = attempt.state is AttemptState.ENDED
    reason = (attempt.reason or trial.reason) if ended else attempt.reason
    tags = {
        SWEEP_TAG: sweep.sweep_id,
        TRIAL_TAG: str(trial.number),
        ATTEMPT_TAG: str(attempt.attempt),
        PARENT_TAG: parent_run_id,
        "masksweep.sweep": sweep.name,
        "masksweep.epoch": str(attempt.epoch),
        "masksweep.state": trial.state.value if ended else attempt.state.value,
        "masksweep.reason": reason or "",
        "masksweep.seed": str(trial.seed),
        "masksweep.start_iteration": str(attempt.start_iteration),
        "masksweep.gpus": "" if attempt.gpus is None else f"{attempt.gpus:g}",
        "masksweep.iteration": str(attempt.iteration) if attempt.ended_at is not None else "",
        "masksweep.dataset_fingerprint": sweep.fingerprint,
    }
    if rerun_of is not None:
        tags["masksweep.rerun_of"] = str(rerun_of)
    if trial.replicate_of is not None:
        tags[REPLICATE_TAG] = str(trial.replicate_of)
    names = legal_names(trial.params)
    repeat = repeat_of(trial.number)
    name = f"trial-{trial.number:04d}" if not repeat else f"trial-{trial.replicate_of:04d}-run-{repeat + 1}"
    suffix = f"-attempt-{attempt.attempt}" if attempt.attempt > 1 else ""
    return RunPicture(
        name=name + suffix,
        status=_attempt_status(attempt.state, trial.state),
        started_ms=_ms(attempt.started_at),
        ended_ms=None if attempt.ended_at is None else _ms(attempt.ended_at),
        tags=_tags(tags),
        params={names[name]: param_text(value) for name, value in trial.params.items()},
    )


def best_so_far(spec: SweepSpec, trials: Iterable[TrialRecord]) -> Iterator[tuple[int, TrialRecord]]:
    """Each trial of the search that was the best when it ended, with how many measured ones had by then."""
    objectives, bounds = objectives_of(spec), bounds_of(spec)
    ended = [trial for trial in searched(trials) if trial.state.terminal and trial.metrics]
    best: TrialRecord | None = None
    for place, trial in enumerate(sorted(ended, key=lambda t: (t.ended_at or 0.0, t.number)), 1):
        ahead = leader([trial] if best is None else [best, trial], objectives, bounds)
        if ahead is trial:
            best = trial
            yield place, trial


def best_points(place: int, trial: TrialRecord) -> list[Point]:
    """The metrics of a trial that became the best, for the parent run; `step` counts ended trials."""
    return points_of(trial.metrics, "best/", trial.ended_at or 0.0, place)


def measured_points(measurement: Measurement) -> list[Point]:
    """A rung's metrics; `step` is the iteration."""
    return points_of(measurement.metrics, "", measurement.at, measurement.iteration)


def curve_points(point: CurveRecord) -> list[Point]:
    """Losses as `loss/...` and the rest, such as `lr`, under its own name."""
    values = {f"loss/{name}" if "loss" in name else name: value for name, value in point.values.items()}
    return points_of(values, "", point.at, point.iteration)


def dataset_pictures(sweep: SweepRecord) -> list[DatasetPicture]:
    """The training and the validation set, both under the fingerprint of the pair; none if none is read."""
    dataset = sweep.spec.dataset
    if dataset is None or sweep.spec.base.synthetic is not None:
        return []
    files = {"train": dataset.train, "val": dataset.val}
    stems = {context: PurePath(part.annotations).stem for context, part in files.items()}
    alike = stems["train"] == stems["val"]  # MLflow would take the two for one
    return [
        DatasetPicture(
            name=f"{stems[context]}-{context}" if alike else stems[context],
            digest=sweep.fingerprint[:MAX_DIGEST],
            source=json.dumps({"uri": part.annotations, "images": part.images}),
            context=context,
        )
        for context, part in files.items()
    ]


def points_of(values: Mapping[str, float], prefix: str, at: float, step: int) -> list[Point]:
    """Values under their names behind a prefix; `at` in seconds since the Unix epoch."""
    names = legal_names(prefix + name for name in values)
    # what could not be measured is absent, never a number
    finite = {name: value for name, value in values.items() if math.isfinite(value)}
    return [Point(names[prefix + name], float(value), _ms(at), step) for name, value in finite.items()]


def _counts(trials: Iterable[TrialRecord]) -> str:
    """`7 COMPLETED, 2 PRUNED`."""
    counts = Counter(trial.state for trial in trials)
    return ", ".join(f"{counts[state]} {state.value}" for state in TrialState if counts[state])


def _constraint(metric: str, low: float | None, high: float | None) -> str:
    return " <= ".join(
        ([] if low is None else [f"{low:g}"]) + [metric] + ([] if high is None else [f"{high:g}"])
    )


def _tags(tags: Mapping[str, str]) -> dict[str, str]:
    source = {"mlflow.source.name": "masksweep", "mlflow.source.type": "JOB"}
    return {legal_name(name): clipped(value, MAX_TAG_VALUE) for name, value in {**tags, **source}.items()}


def _ms(at: float) -> int:
    return round(at * 1000)


def _sweep_status(state: SweepState) -> str:
    match state:
        case SweepState.PENDING | SweepState.PAUSED:
            return "SCHEDULED"
        case SweepState.RUNNING | SweepState.STOPPING:
            return "RUNNING"
        case SweepState.COMPLETED:
            return "FINISHED"
        case SweepState.CANCELLED:
            return "KILLED"
        case SweepState.FAILED:
            return "FAILED"
        case _:
            assert_never(state)


def _attempt_status(attempt: AttemptState, trial: TrialState) -> str:
    match attempt:
        case AttemptState.RUNNING:
            return "RUNNING"
        case AttemptState.PAUSED:
            return "KILLED"
        case AttemptState.LOST:
            return "FAILED"
        case AttemptState.ENDED:
            if trial in (TrialState.COMPLETED, TrialState.PRUNED):
                return "FINISHED"
            return "KILLED" if trial is TrialState.CANCELLED else "FAILED"
        case _:
            assert_never(attempt)
