"""The table of metrics: every name that an evaluation gives, what it means, and which way is better."""

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

Goal: TypeAlias = Literal["maximize", "minimize"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One name, or a family of names.

    Attributes:
        name: As objectives, constraints and MLflow have it: `segm/AP`. A part in angle brackets stands for
            any text: `segm/AP-<category>`.
        unit: Of its values: `%` counts from 0 to 100, `0..1` from 0 to 1.
        goal: Which way is better, or None where neither is.
        doc: What it says, for people who compare models.
        source: Where it is defined: a paper, or the code that others compare with.
    """

    name: str
    unit: str
    goal: Goal | None
    doc: str
    source: str

    @property
    def is_family(self) -> bool:
        """Whether the name has a part that stands for any text."""
        return "<" in self.name

    def covers(self, name: str) -> bool:
        """Whether this entry is the one for `name`."""
        literal = re.split(r"<[a-z]+>", self.name)
        pattern = r"\S(?:.*\S)?".join(re.escape(part) for part in literal)
        return re.fullmatch(pattern, name) is not None


_COCO = "COCO detection evaluation, https://cocodataset.org/#detection-eval"


def _average_precision(kind: str, what: str) -> tuple[Metric, ...]:
    def metric(name: str, doc: str) -> Metric:
        return Metric(f"{kind}/{name}", "%", "maximize", doc, _COCO)

    return (
        metric("AP", f"Average precision of {what}, the mean over IoU 0.50 to 0.95."),
        metric("AP50", f"Average precision of {what} at IoU 0.50: found at all."),
        metric("AP75", f"Average precision of {what} at IoU 0.75: well drawn."),
        metric("APs", f"AP of {what} of small objects, up to 32 x 32 px."),
        metric("APm", f"AP of {what} of medium objects, 32 x 32 to 96 x 96 px."),
        metric("APl", f"AP of {what} of large objects, from 96 x 96 px."),
        metric("AP-<category>", f"AP of {what} of one category."),
    )


_OKSUZ = "Oksuz et al., One Metric to Measure them All, https://arxiv.org/abs/2011.10772"
_F1 = "van Rijsbergen, Information Retrieval (1979), chapter 7, with COCO's matching at mask IoU 0.5"
_GUO = "Guo et al., On Calibration of Modern Neural Networks, https://arxiv.org/abs/1706.04599"
_KUEPPERS = "Küppers et al., Multivariate Confidence Calibration, https://arxiv.org/abs/2004.13546"
_LAECE = "Oksuz et al., Towards Building Self-Aware Object Detectors, https://arxiv.org/abs/2307.00934"


def _threshold(name: str, doc: str, source: str) -> Metric:
    return Metric(name, "0..1", None, doc, source)


def _operating_points() -> tuple[Metric, ...]:
    """Precision and recall in use: at one score threshold, mask IoU 0.5, counted over all categories."""

    def share(name: str, doc: str) -> Metric:
        return Metric(f"op/{name}", "%", "maximize", doc, _F1)

    return (
        share("F1", "Harmonic mean of precision and recall at the score threshold where it is highest."),
        share("precision", "Share of the detections that are right, at the threshold of op/F1."),
        share("recall", "Share of the objects that are found, at the threshold of op/F1."),
        _threshold("op/score_threshold", "The score threshold of op/F1.", _F1),
        share("F1-<category>", "F1 of one category, at its own best threshold."),
        _threshold("op/score_threshold-<category>", "The score threshold of op/F1-<category>.", _F1),
    )


def _lrp() -> tuple[Metric, ...]:
    """Localisation Recall Precision: the errors in use, with how far the right masks are off."""

    def error(name: str, doc: str) -> Metric:
        return Metric(f"lrp/{name}", "%", "minimize", doc, _OKSUZ)

    return (
        error(
            "oLRP",
            "Optimal LRP error: what is wrong, missed and misdrawn, each category at its best threshold;"
            " the mean over the categories. 0 is perfect.",
        ),
        error("oLRP_loc", "Part of lrp/oLRP: mean of 1 - mask IoU over the right detections, 50 at most."),
        error("oLRP_FP", "Part of lrp/oLRP: share of the detections that are wrong."),
        error("oLRP_FN", "Part of lrp/oLRP: share of the objects that are missed."),
        _threshold(
            "lrp/score_threshold", "The one threshold where LRP over all categories is lowest.", _OKSUZ
        ),
        error("oLRP-<category>", "Optimal LRP error of one category."),
        _threshold("lrp/score_threshold-<category>", "The threshold of lrp/oLRP-<category>.", _OKSUZ),
    )


def _calibration() -> tuple[Metric, ...]:
    """Expected calibration errors over 15 bins of equal width."""

    def error(name: str, doc: str, source: str) -> Metric:
        return Metric(f"calibration/{name}", "%", "minimize", doc, source)

    return (
        error(
            "mask_ECE",
            "Mean gap between the probability of a pixel and how often such pixels are the object's: around"
            " detections that are right, every pixel of their boxes.",
            _GUO,
        ),
        error("score_ECE", "Mean gap between score and how often such detections are right.", _KUEPPERS),
        error("score_LaECE", "Mean gap between score and mask IoU, 0 for a wrong detection.", _LAECE),
    )


def _cost() -> tuple[Metric, ...]:
    """What inference costs on the machine that trains."""

    def cost(name: str, unit: str, doc: str) -> Metric:
        return Metric(name, unit, "minimize", doc, "masksweep's runners.evaluation.cost")

    return (
        cost(
            "latency/ms_per_image",
            "ms",
            "Median time an image, from pixels in memory to pasted masks, in batches of up to 8, without the"
            " first batch.",
        ),
        cost("latency/ms_per_image_p90", "ms", "90th percentile of the same time."),
        cost(
            "memory/peak_mb",
            "MB",
            "Weights and the most memory that inference on the first validation image adds, in 1,000,000"
            " bytes: torch's allocator on a GPU, living tensors on a CPU, and absent elsewhere.",
        ),
        cost("model/parameters", "million", "Parameters, trainable and frozen."),
    )


METRICS: tuple[Metric, ...] = (
    *_average_precision("segm", "masks"),
    *_average_precision("bbox", "boxes"),
    *_operating_points(),
    *_lrp(),
    *_calibration(),
    *_cost(),
)


def metric_named(name: str) -> Metric | None:
    """The entry for a name, or None; a name of its own comes before a family."""
    exact = (metric for metric in METRICS if metric.name == name and not metric.is_family)
    return next(exact, next((metric for metric in METRICS if metric.is_family and metric.covers(name)), None))


def metric_names() -> tuple[str, ...]:
    """All names and families, in the table's order."""
    return tuple(metric.name for metric in METRICS)
