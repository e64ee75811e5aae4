"""The table of metrics."""

import pytest

from sweeps.core.metrics import METRICS, metric_named


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("segm/AP", "segm/AP"),
        ("segm/AP-bolt", "segm/AP-<category>"),
        ("bbox/AP-a <b> (c)", "bbox/AP-<category>"),
        ("segm/AP-", None),
        ("segm/AP- ", None),
        ("segm/ap", None),
        ("", None),
    ],
)
def test_a_name_finds_its_entry(name, entry):
    """A name of its own or one of a family; what is in no family is unknown."""
    found = metric_named(name)
    assert (found and found.name) == entry


def test_every_entry_is_found_by_its_own_name():
    """Names are unique, and every one says what it means and where that is defined."""
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names)
    assert [metric_named(name) for name in names] == list(METRICS)
    assert all(metric.doc.endswith(".") and metric.source for metric in METRICS)
