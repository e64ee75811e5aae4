"""Bins of object size below COCO's `small`, where a lower AP hides in the mean."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeAlias

SizeBins: TypeAlias = Mapping[str, tuple[float, float]]
"""Name -> (low, high) in px, both included: the square root of an instance's mask area."""

STANDARD_BINS: SizeBins = MappingProxyType({"vtiny": (2.0, 8.0), "tiny": (8.0, 16.0), "small": (16.0, 32.0)})
"""AI-TOD's very tiny, tiny and small: Wang et al., Tiny Object Detection in Aerial Images, ICPR 2020."""

MIN_INSTANCES = 20
"""Ground truth that a bin needs to be an objective or a constraint.

With n instances one more of them found moves recall, and with it AP, by up to 100 / n points. Below 20 that
is more than 5 points: more than trials of one sweep usually differ by, so that chance would choose among
them.
"""

MAX_BIN_PX = 100_000
"""Where a bin ends at the latest: COCO's own ranges go up to 1e5 x 1e5 px."""

INTERVAL_ENDS = ("_low", "_high")
"""What the names of an interval's ends add to the name of its metric."""


def all_bins(custom: SizeBins) -> dict[str, tuple[float, float]]:
    """The standard bins, then those of a spec."""
    return {**STANDARD_BINS, **custom}


def bin_of_metric(metric: str) -> str | None:
    """The bin that a metric is about: `tiny` for `segm/AP_tiny` and `segm/AP_tiny_low`; else None."""
    if not metric.startswith("segm/AP_"):
        return None
    name = metric.removeprefix("segm/AP_")
    end = next((end for end in INTERVAL_ENDS if name.endswith(end)), "")  # one: an end has no ends
    return name.removesuffix(end)
