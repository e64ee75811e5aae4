"""By what a list of trials is sorted."""

from fastapi.exceptions import RequestValidationError

from search_spaces.issues import did_you_mean
from sweeps.api.context import Core
from sweeps.core.metrics import metric_named, nearest_metrics
from sweeps.core.size_bins import all_bins, bin_of_metric
from sweeps.records import SweepRecord

BY_NUMBER = "number"


def metric_to_sort_by(core: Core, sweep: SweepRecord, sort: str) -> str | None:
    """The metric that `sort` names; None: it says by number.

    A metric is one of the table's, of any category and of the sweep's own size bins, or whatever one of its
    trials has a value of, as what a newer version measured.

    Raises:
        RequestValidationError: It names neither, by which nothing would be sorted.
    """
    if sort == BY_NUMBER:
        return None
    size_bin, bins = bin_of_metric(sort), all_bins(sweep.spec.metrics.size_bins)
    known = metric_named(sort) is not None and (size_bin is None or size_bin in bins)
    if known or core.listing.has_value(sweep.sweep_id, sort):
        return sort
    near = did_you_mean(sort, [BY_NUMBER]) or _like(sort)
    if size_bin is not None:
        near = did_you_mean(size_bin, bins)
    issue = {
        "type": "no_metric",
        "loc": ("query", "sort"),
        "msg": "Needs `number` or a metric",
        "input": sort,
        "ctx": {"hint": near or "GET /api/v1/metrics lists all"},
    }
    raise RequestValidationError([issue])


def larger_is_better(metric: str) -> bool:
    """Whether a metric's better end is its larger one, as it is of one that nobody knows."""
    found = metric_named(metric)
    return found is None or found.goal != "minimize"


def _like(name: str) -> str | None:
    near = nearest_metrics(name)
    return f"did you mean {' or '.join(near)}?" if near else None
