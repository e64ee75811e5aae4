"""The table of metrics: every name that an evaluation gives, what it means, and which way is better."""

import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal, TypeAlias

from sweeps.core.size_bins import STANDARD_BINS

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
        judges: Whether trials can be judged by it; False for what describes the data.
    """

    name: str
    unit: str
    goal: Goal | None
    doc: str
    source: str
    judges: bool = True

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
_BOUNDARY_IOU = "Cheng et al., Boundary IoU, https://arxiv.org/abs/2103.16562"
_AI_TOD = "Wang et al., Tiny Object Detection in Aerial Images, ICPR 2020"
_BOOTSTRAP = (
    "Efron, Nonparametric standard errors and confidence intervals, Canadian J. Statistics 9(2), 1981"
)
_CROWD_DET = "Chu et al., CrowdDet, https://arxiv.org/abs/2003.09163"
_OCCLUDED = "Zhan et al., Occluded COCO, https://arxiv.org/abs/2210.10046; Repulsion Loss, arXiv:1711.07752"
_HOOVER = "Hoover et al., Comparison of range image segmentation algorithms, IEEE TPAMI 18(7), 1996"


def _average_precision(kind: str, what: str, source: str = _COCO) -> tuple[Metric, ...]:
    def metric(name: str, doc: str) -> Metric:
        return Metric(f"{kind}/{name}", "%", "maximize", doc, source)

    return (
        metric("AP", f"Average precision of {what}, the mean over IoU 0.50 to 0.95."),
        metric("AP50", f"Average precision of {what} at IoU 0.50: found at all."),
        metric("AP75", f"Average precision of {what} at IoU 0.75: well drawn."),
        metric("APs", f"AP of {what} of small objects, up to 32 x 32 px."),
        metric("APm", f"AP of {what} of medium objects, 32 x 32 to 96 x 96 px."),
        metric("APl", f"AP of {what} of large objects, from 96 x 96 px."),
        metric("AP-<category>", f"AP of {what} of one category."),
    )


def _average_recall(kind: str, what: str, source: str = _COCO) -> tuple[Metric, ...]:
    def metric(name: str, doc: str) -> Metric:
        return Metric(f"{kind}/{name}", "%", "maximize", doc, source)

    return (
        metric("AR1", f"Average recall of {what}, one detection an image and category."),
        metric("AR10", f"Average recall of {what}, up to 10 detections an image and category."),
        metric("AR100", f"Average recall of {what}, up to 100 detections an image and category."),
        metric("ARs", f"Average recall of {what} of small objects, up to 32 x 32 px."),
        metric("ARm", f"Average recall of {what} of medium objects, 32 x 32 to 96 x 96 px."),
        metric("ARl", f"Average recall of {what} of large objects, from 96 x 96 px."),
    )


def _size_bins() -> tuple[Metric, ...]:
    low, high = "Lower end of the 95% bootstrap interval", "Upper end of the 95% bootstrap interval"
    bins = ", ".join(f"{name} {start:g} to {end:g} px" for name, (start, end) in STANDARD_BINS.items())
    return (
        Metric("segm/AP_<bin>_low", "%", "maximize", f"{low} of segm/AP_<bin>, over images.", _BOOTSTRAP),
        Metric("segm/AP_<bin>_high", "%", "maximize", f"{high} of segm/AP_<bin>, over images.", _BOOTSTRAP),
        Metric(
            "segm/AP_<bin>",
            "%",
            "maximize",
            f"AP of masks of objects in one bin of size, the root of their area: {bins}, and the spec's.",
            _AI_TOD,
        ),
        Metric(
            "count/gt_<bin>",
            "instances",
            "maximize",
            "Ground truth in one bin of size.",
            _AI_TOD,
            judges=False,
        ),
    )


def _overlap() -> tuple[Metric, ...]:
    def ap(name: str, doc: str, source: str) -> Metric:
        return Metric(f"overlap/{name}", "%", "maximize", doc, source)

    def rate(name: str, doc: str) -> Metric:
        return Metric(f"overlap/{name}", "%", "minimize", doc, _HOOVER)

    def count(name: str, doc: str, source: str) -> Metric:
        return Metric(f"count/{name}", "instances", "maximize", doc, source, judges=False)

    return (
        ap("AP", "AP of masks of crowded or occluded objects; the others neither help nor harm.", _OCCLUDED),
        ap(
            "AP_crowded", "AP of masks of objects whose box has IoU above 0.5 with a neighbour's.", _CROWD_DET
        ),
        ap(
            "AP_occluded",
            "AP of masks of objects with over 10% of the box under neighbours' masks.",
            _OCCLUDED,
        ),
        rate("merge_rate", "Touching pairs of which one detection of score 0.5 and more covers both halves."),
        rate("split_rate", "Objects that are found in fragments of score 0.5 and more, but not as a whole."),
        count("gt_crowded", "Ground truth that is crowded.", _CROWD_DET),
        count("gt_occluded", "Ground truth that is occluded.", _OCCLUDED),
        count("gt_touching_pairs", "Pairs of instances with at most one pixel between them.", _HOOVER),
    )


_OKSUZ = "Oksuz et al., One Metric to Measure them All, https://arxiv.org/abs/2011.10772"
_F1 = "van Rijsbergen, Information Retrieval (1979), chapter 7, with COCO's matching at mask IoU 0.5"
_CROSS_FIT = "Cross-fitting: Chernozhukov et al., Double Machine Learning, https://arxiv.org/abs/1608.00060"
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


def _settings() -> tuple[Metric, ...]:
    """Inference settings, chosen among those of the spec's `inference`."""

    def chosen(name: str, unit: str, doc: str) -> Metric:
        return Metric(
            f"settings/{name}", unit, None, doc, "masksweep's runners.evaluation.choice", judges=False
        )

    def score(name: str, doc: str) -> Metric:
        return Metric(f"settings/{name}", "%", "maximize", doc, _CROSS_FIT, judges=False)

    return (
        chosen("mask_threshold", "0..1", "The mask threshold of highest AP on all validation images."),
        chosen("nms_threshold", "0..1", "The NMS threshold of highest AP on all validation images."),
        chosen("detections_per_image", "detections", "The limit of highest AP on all validation images."),
        chosen(
            "score_threshold",
            "0..1",
            "The score threshold of lowest LRP error at those: AP would always take the lowest.",
        ),
        score("AP_default", "The objective's AP at the base's own settings."),
        score("AP_crossfit", "The same with each half of the images at what the other half chose."),
        score("AP_best", "The same at what all images chose: flattered, the more so the bigger the grid."),
    )


def _cost() -> tuple[Metric, ...]:
    """What inference costs on the machine that trains."""

    def cost(name: str, unit: str, doc: str) -> Metric:
        return Metric(name, unit, "minimize", doc, "masksweep's runners.evaluation.cost")

    return (
        cost(
            "latency/ms_per_image",
            "ms",
            "Median time of one image, from pixels in memory to pasted masks, at the base's own settings:"
            " over the first images of the validation set, one by one, warm.",
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
    *_average_recall("segm", "masks"),
    *_size_bins(),
    *_average_precision("bbox", "boxes"),
    *_average_recall("bbox", "boxes"),
    *_average_precision("boundary", "masks by their boundary", _BOUNDARY_IOU),
    *_average_recall("boundary", "masks by their boundary", _BOUNDARY_IOU),
    *_overlap(),
    *_operating_points(),
    *_lrp(),
    *_calibration(),
    *_settings(),
    *_cost(),
)


def metric_named(name: str) -> Metric | None:
    """The entry for a name, or None; a name of its own comes before a family."""
    exact = (metric for metric in METRICS if metric.name == name and not metric.is_family)
    return next(exact, next((metric for metric in METRICS if metric.is_family and metric.covers(name)), None))


def category_of_metric(name: str) -> str | None:
    """The category that a metric is about: `gear` for `op/F1-gear`; else None."""
    metric = metric_named(name)
    if metric is None or not metric.name.endswith("<category>"):
        return None
    return name.removeprefix(metric.name.removesuffix("<category>"))


def nearest_metrics(name: str, most: int = 3) -> list[str]:
    """Names like a wrong one, nearest first; before them those that only lack what is before the slash."""
    names = metric_names()
    bare = [known for known in names if known.rsplit("/", 1)[-1].lower() == name.lower()]
    by_lower = {known.lower(): known for known in names}
    near = [by_lower[found] for found in get_close_matches(name.lower(), list(by_lower), n=most, cutoff=0.6)]
    return list(dict.fromkeys([*bare, *near]))[:most]


def metric_names() -> tuple[str, ...]:
    """All names and families, in the table's order."""
    return tuple(metric.name for metric in METRICS)
