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
        unit: Of its values: `%` counts from 0 to 100.
        goal: Which way is better.
        doc: What it says, for people who compare models.
        source: Where it is defined: a paper, or the code that others compare with.
    """

    name: str
    unit: str
    goal: Goal
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


METRICS: tuple[Metric, ...] = (
    *_average_precision("segm", "masks"),
    *_average_precision("bbox", "boxes"),
    Metric(
        "latency/ms_per_image",
        "ms",
        "minimize",
        "Median time an image, from pixels in memory to pasted masks, without the first batch.",
        "masksweep's runners.evaluation.predictions",
    ),
)


def metric_named(name: str) -> Metric | None:
    """The entry for a name, or None; a name of its own comes before a family."""
    exact = (metric for metric in METRICS if metric.name == name and not metric.is_family)
    return next(exact, next((metric for metric in METRICS if metric.is_family and metric.covers(name)), None))


def metric_names() -> tuple[str, ...]:
    """All names and families, in the table's order."""
    return tuple(metric.name for metric in METRICS)
