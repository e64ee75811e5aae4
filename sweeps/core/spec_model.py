"""The fields of a spec, section by section, with what each may hold and its default."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    model_validator,
)

from search_spaces.presets import preset_names
from search_spaces.space import SearchSpace, parse_space, space_document
from sweeps.core.errors import SpecInvalid
from sweeps.core.inference import InferenceSettings, SettingsGrid
from sweeps.core.metrics import metric_named
from sweeps.core.pruner import Pruner
from sweeps.core.sampler import Sampler
from sweeps.core.spec_fields import (
    LEAST_SHARE,
    MAX_TRIALS,
    STALL_S,
    ascending,
    axis,
    bin_bounds,
    bin_name,
    bound_value,
    config_file,
    deadline_value,
    device_share,
    duration,
    metric_value,
    name_value,
    number,
    one_of,
    path_value,
    problem,
    seconds,
    stall,
    stall_text,
    threshold,
    version_value,
    weights_value,
    whole,
    whole_value,
    zoo_value,
)
from sweeps.core.warm_start import WarmStart

MAX_ITERATIONS = 10_000_000
"""Of a trial: ten times what Detectron2's longest schedules take. More is a slip of the finger."""

MAX_RUNS = 100
"""Of a finalist: more would tell no more of its mean."""

MAX_FINALISTS = 1000
"""Of a sweep: who wants more wants another search."""

_Path = Annotated[str, BeforeValidator(path_value)]
_Metric = Annotated[str, BeforeValidator(metric_value)]
_Number = Annotated[float, number()]
_Thresholds = Annotated[
    tuple[Annotated[float, BeforeValidator(threshold)], ...], axis(threshold), AfterValidator(ascending)
]
_Counts = Annotated[
    tuple[Annotated[int, whole(1, 1000)], ...], axis(whole_value(1, 1000)), AfterValidator(ascending)
]
_POSITIVE = number(" above 0", lambda value: value > 0)
_AT_LEAST_0 = number(" of at least 0", lambda value: value >= 0)
_SHARE = number(" of at least 0 and below 1", lambda value: 0 <= value < 1)

SYNTHETIC_DEFAULTS: Mapping[str, float] = {
    "landscape": 0,
    "noise": 0.3,
    "crashes": 0.02,
    "nans": 0.05,
    "out_of_memory": 0.02,
    "step_s": 0,
}
"""Options of `base.synthetic`, and what they are unless a spec says otherwise."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Split(_Section):
    """One part of a COCO data set.

    Attributes:
        annotations: Absolute path of the COCO JSON.
        images: Absolute path of the directory that its file names start from.
    """

    annotations: _Path
    images: _Path


class Dataset(_Section):
    """What trials train on, and what they are judged by."""

    train: Split
    val: Split


class BaseSpec(_Section):
    """The model that every trial starts from. Exactly one of `preset`, `zoo`, `file` and `synthetic` is set.

    Attributes:
        preset: One of masksweep's presets.
        zoo: A config of Detectron2's model zoo, `COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x.yaml`.
        file: Absolute path of a Detectron2 YAML config.
        weights: `none`, `zoo`, `file` (those that the config file names), a URL (http, https or detectron2),
            or the absolute path of a checkpoint.
        synthetic: An analytic function in place of a model; the options below are its own, each set if it is.
        landscape: Which function, 0 to 2**31 - 1: where the optimum lies, and how far each knob matters.
        noise: Standard deviation of a measured AP, in points.
        crashes: Share of attempts that end with an error or a lost worker, below 1; they are retried.
        nans: Share of the space in which training diverges, below 1.
        out_of_memory: Share of the space whose models do not fit into memory, below 1.
        step_s: Seconds that an iteration takes.
    """

    preset: Annotated[str | None, one_of(*preset_names())] = None
    zoo: Annotated[str | None, BeforeValidator(zoo_value)] = None
    file: Annotated[str | None, BeforeValidator(config_file)] = None
    weights: Annotated[str, BeforeValidator(weights_value)]
    synthetic: Annotated[Literal["curves"] | None, one_of("curves")] = None
    landscape: Annotated[int | None, whole(0, 2**31 - 1)] = None
    noise: Annotated[float | None, _AT_LEAST_0] = None
    crashes: Annotated[float | None, _SHARE] = None
    nans: Annotated[float | None, _SHARE] = None
    out_of_memory: Annotated[float | None, _SHARE] = None
    step_s: Annotated[float | None, _AT_LEAST_0] = None

    @model_validator(mode="before")
    @classmethod
    def _synthetic_defaults(cls, raw: Any) -> Any:
        return {**SYNTHETIC_DEFAULTS, **raw} if isinstance(raw, dict) and "synthetic" in raw else raw

    @model_validator(mode="after")
    def _one_base(self) -> Self:
        kinds = ("preset", "zoo", "file", "synthetic")
        given = [name for name in kinds if getattr(self, name) is not None]
        if len(given) != 1:
            got = f"got {' and '.join(given)}, but " if given else ""
            raise problem(f"{got}needs exactly one of {', '.join(kinds)}")
        return self


class Objective(_Section):
    """What is to become best.

    Attributes:
        metric: A name of `sweeps.core.metrics.METRICS`.
        goal: By default the metric's own.
    """

    metric: _Metric
    goal: Annotated[Literal["maximize", "minimize"], one_of("maximize", "minimize")]

    @model_validator(mode="before")
    @classmethod
    def _default_goal(cls, raw: Any) -> Any:
        if isinstance(raw, dict) and "goal" not in raw:
            name = str(raw.get("metric"))
            metric = metric_named(name)
            if metric is not None and metric.goal is None:
                raise problem(f"{name} is better neither high nor low", "say the goal, maximize or minimize")
            return {**raw, "goal": metric.goal if metric else "maximize"}
        return raw


class Constraint(_Section):
    """Bounds, both included, within which a trial must end to count; at least one of them is set.

    `latency/ms_per_image <= 80` is short for `{metric: latency/ms_per_image, max: 80}`.
    """

    metric: _Metric
    max: Annotated[float | None, number()] = None
    min: Annotated[float | None, number()] = None

    @model_validator(mode="before")
    @classmethod
    def _in_words(cls, raw: Any) -> Any:
        return bound_value(raw)


class Metrics(_Section):
    """What is measured beyond the standard metrics.

    Attributes:
        size_bins: Name -> (low, high) in px, both included: objects by the square root of their area.
    """

    size_bins: dict[
        Annotated[str, BeforeValidator(bin_name)], Annotated[tuple[float, float], BeforeValidator(bin_bounds)]
    ] = Field(default_factory=dict)


class Inference(_Section):
    """Settings that need no training, each one value or a list to choose among; None: the base's own.

    Attributes:
        mask_threshold: Of a mask's probability, in (0, 1); no base has one, and Detectron2's is 0.5.
        score_threshold: Detections below are left out; in (0, 1).
        nms_threshold: IoU above which the weaker of two boxes is left out; in (0, 1).
        detections_per_image: The best so many are kept; 1 to 1000.
    """

    mask_threshold: _Thresholds | None = None
    score_threshold: _Thresholds | None = None
    nms_threshold: _Thresholds | None = None
    detections_per_image: _Counts | None = None

    def grid(self, default: InferenceSettings) -> SettingsGrid:
        """All combinations, with `default` for what is not given. A single one is its own default."""
        grid = SettingsGrid(
            self.mask_threshold or (default.mask_threshold,),
            self.score_threshold or (default.score_threshold,),
            self.nms_threshold or (default.nms_threshold,),
            self.detections_per_image or (default.detections_per_image,),
            default,
        )
        combinations = grid.combinations()
        return grid if len(combinations) > 1 else SettingsGrid.single(combinations[0])


class Fidelity(_Section):
    """How long a full trial trains.

    Attributes:
        iterations: Of training, up to MAX_ITERATIONS.
        rungs: Iterations at which a trial is evaluated, ascending; the last one is `iterations`.
    """

    iterations: Annotated[int, whole(1, MAX_ITERATIONS)]
    rungs: Annotated[tuple[Annotated[int, whole(1, MAX_ITERATIONS)], ...], Field(min_length=1)]


class Budget(_Section):
    """When a sweep ends: with the first limit that it reaches.

    Attributes:
        trials: Number of trials, up to MAX_TRIALS.
        gpu_hours: Worker hours times the share of a device that a trial takes, or None.
        wall_s: Seconds of the driver's time, or None; `wall: 2h` in a spec.
        deadline: `07:00 Europe/Berlin`: the next such moment after the start, or None.
        target: Objective's metric -> value at which it is good enough.
        no_improvement: Trials that may end since the best one did, or since the front changed, or None.
    """

    trials: Annotated[int, whole(1, MAX_TRIALS)] = 20
    gpu_hours: Annotated[float | None, _POSITIVE] = None
    wall_s: Annotated[
        float | None, BeforeValidator(seconds), PlainSerializer(duration, when_used="unless-none")
    ] = Field(default=None, alias="wall")
    deadline: Annotated[str | None, BeforeValidator(deadline_value)] = None
    target: dict[_Metric, _Number] = Field(default_factory=dict)
    no_improvement: Annotated[int | None, whole(1, MAX_TRIALS)] = None


class Replicates(_Section):
    """Finalists that are run again in full with other seeds, once the search has ended.

    Attributes:
        runs: Of each finalist in all, its first one included; 1 to MAX_RUNS.
        finalists: At most so many; 1 to MAX_FINALISTS.
    """

    runs: Annotated[int, whole(1, MAX_RUNS)] = 3
    finalists: Annotated[int, whole(1, MAX_FINALISTS)] = 3


class Checkpoints(_Section):
    """Whose checkpoints are kept, beside those of trials that are not over.

    Attributes:
        finalists: Ended trials that keep their last one, the best; 1 to MAX_FINALISTS. None: the best, and
            with several objectives the Pareto front, as far as it has places.
    """

    finalists: Annotated[int | None, whole(1, MAX_FINALISTS)] = None


def _replicates_value(raw: object) -> object:
    """`3` stands for `{runs: 3}`."""
    if isinstance(raw, Mapping | Replicates):
        return raw
    return {"runs": whole_value(1, MAX_RUNS, " or a mapping of runs, finalists")(raw)}


class Resources(_Section):
    """What a trial takes and how many run at once.

    Attributes:
        gpus_per_trial: Share of one device, 0.0001 to 1, or 0; None: a whole one where there is any.
        cpus_per_trial: At least 0.0001.
        max_concurrent: At least 1; None: as many as fit.
        stall_s: Seconds in which nothing moves after which a worker hangs and is replaced, at least
            LEAST_STALL_S; infinity: never. `stall: 30m` or `stall: none` in a spec.
    """

    gpus_per_trial: Annotated[float | None, BeforeValidator(device_share)] = None
    cpus_per_trial: Annotated[
        float, number(f" of at least {LEAST_SHARE}", lambda value: value >= LEAST_SHARE)
    ] = 1.0
    max_concurrent: Annotated[int | None, whole(1, MAX_TRIALS)] = None
    stall_s: Annotated[float, BeforeValidator(stall), PlainSerializer(stall_text)] = Field(
        default=STALL_S, alias="stall"
    )


class Tracking(_Section):
    """Where MLflow shows the sweep."""

    experiment: Annotated[str, BeforeValidator(name_value)]


def _space_value(raw: object) -> SearchSpace:
    if isinstance(raw, SearchSpace):
        return raw
    space, issues = parse_space(raw)
    if space is None:
        raise SpecInvalid(issues)
    return space


class SweepSpec(_Section):
    """A whole sweep, version 1. Every path in it is absolute and every default filled in.

    Only a synthetic base does without a `dataset`.
    """

    version: Annotated[Literal[1], BeforeValidator(version_value)]
    name: Annotated[str, BeforeValidator(name_value)]
    dataset: Dataset | None = None
    base: BaseSpec
    objectives: Annotated[tuple[Objective, ...], Field(min_length=1)]
    constraints: tuple[Constraint, ...] = ()
    metrics: Metrics = Metrics()
    space: Annotated[SearchSpace, PlainValidator(_space_value), PlainSerializer(space_document)]
    inference: Inference = Inference()
    sampler: Sampler = Sampler()
    pruner: Pruner = Pruner()
    fidelity: Fidelity
    budget: Budget = Budget()
    replicates: Annotated[Replicates | None, BeforeValidator(_replicates_value)] = None
    checkpoints: Checkpoints = Checkpoints()
    resources: Resources = Resources()
    tracking: Tracking
    warm_start: WarmStart | None = None

    @property
    def data(self) -> Dataset:
        """The data set of a sweep whose base is not synthetic."""
        if self.dataset is None:
            raise ValueError(f"{self.name}: there is no data set")
        return self.dataset
