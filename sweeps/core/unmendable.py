"""Constraints that a trial breaks at a rung and will break at its end: training on would be wasted."""

from collections.abc import Mapping

from sweeps.core.ranking import Bounds

DRIFT: Mapping[str, float] = {
    "model/parameters": 0.0,  # the architecture's, the same at every rung
    # these depend on how many objects are found, which changes while a model learns, and time is noisy
    "memory/peak_mb": 0.5,
    "latency/ms_per_image": 0.5,
    "latency/ms_per_image_p90": 1.0,
}
"""Metrics that training hardly changes -> by what share of a bound they may still come back within it."""


def unmendable(metrics: Mapping[str, float], bounds: Bounds) -> str | None:
    """Which constraint training cannot mend any more, in words; None if it may mend all.

    Args:
        metrics: Of a rung, finite; what is absent breaks nothing here.
        bounds: The constraints.
    """
    for name, low, high in bounds:
        value, drift = metrics.get(name), DRIFT.get(name)
        if value is None or drift is None:
            continue
        if high is not None and value > high + drift * abs(high):
            return f"{name} {value:.4g} is above {high:g}, which training does not mend"
        if low is not None and value < low - drift * abs(low):
            return f"{name} {value:.4g} is below {low:g}, which training does not mend"
    return None
