"""The table of metrics."""

import pytest

from sweeps.core.metrics import METRICS, category_of_metric, metric_named, nearest_metrics


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("segm/AP", "segm/AP"),
        ("segm/AP-bolt", "segm/AP-<category>"),
        ("bbox/AP-a <b> (c)", "bbox/AP-<category>"),
        ("segm/AP_tiny", "segm/AP_<bin>"),
        ("segm/AP_tiny_low", "segm/AP_<bin>_low"),
        ("segm/AP_bolt_high", "segm/AP_<bin>_high"),
        ("count/gt_tiny", "count/gt_<bin>"),
        ("count/gt_crowded", "count/gt_crowded"),
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


@pytest.mark.parametrize(
    ("name", "category"),
    [
        ("segm/AP-bolt", "bolt"),
        ("bbox/AP-a <b> (c)", "a <b> (c)"),
        ("op/F1-hex-nut", "hex-nut"),
        ("op/score_threshold-bolt", "bolt"),
        ("lrp/oLRP-bolt", "bolt"),
        ("lrp/oLRP_loc", None),
        ("segm/AP_tiny", None),
        ("accuracy-bolt", None),
    ],
)
def test_a_metric_of_one_category_names_it(name, category):
    """Whatever is measured for each category; other metrics have none."""
    assert category_of_metric(name) == category


def test_every_entry_is_found_by_its_own_name():
    """Names are unique, and every one says what it means and where that is defined."""
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names)
    assert [metric_named(name) for name in names] == list(METRICS)
    assert all(metric.doc.endswith(".") and metric.source for metric in METRICS)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("AP", ["segm/AP", "bbox/AP", "boundary/AP"]),
        ("segm/ap75", ["segm/AP75", "segm/AP50", "segm/AP"]),
        ("overlap/merges", ["overlap/merge_rate"]),
        ("accuracy", []),
    ],
)
def test_a_wrong_name_has_a_few_near_ones(name, near):
    """A bare name may mean every kind; else what is spelt alike, three at most."""
    assert nearest_metrics(name)[: len(near)] == near
    assert len(nearest_metrics(name)) <= 3
