"""`masksweep evaluate` and `masksweep metrics` as a user types them."""

import json

import pytest

from sweeps.core.metrics import metric_named, metric_names
from tests.evaluation_data import peer_summary, random_case, results_of
from tests.integration.command import masksweep


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Annotations, predictions with a mask each, and pycocotools' numbers."""
    directory = tmp_path_factory.mktemp("files")
    document, detections = random_case(0)
    results = [
        {
            **one,
            "segmentation": {**one["segmentation"], "counts": one["segmentation"]["counts"].decode()},
        }
        for one in results_of(detections, "segm")
    ]
    (directory / "gt.json").write_text(json.dumps(document))
    (directory / "dt.json").write_text(json.dumps(results))
    return directory, document, results, peer_summary(document, detections, "segm", 100)


def test_json_has_pycocotools_numbers(files):
    """One document on stdout, nothing else there; null where nothing could be measured."""
    directory, document, results, expected = files
    done = masksweep(
        "evaluate", "--gt", directory / "gt.json", "--predictions", directory / "dt.json", "--json"
    )
    assert (done.returncode, done.stderr) == (0, "")
    printed = json.loads(done.stdout)
    for name in ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"):
        assert printed[name] == expected.get(f"segm/{name}")
    names = [category["name"] for category in document["categories"]]
    assert printed["per_category"] == {name: expected.get(f"segm/AP-{name}") for name in names}
    assert printed["per_category"]["unused"] is None
    assert printed["detections"] == len(results)
    assert all(metric_named(name) for name in printed["more"])
    assert {"segm/AP_tiny", "count/gt_tiny", "overlap/split_rate"} <= set(printed["more"])


def test_a_table_is_printed_for_people(files):
    """Every line a name and a number; what is not measured is said to be so."""
    directory, *_ = files
    done = masksweep(
        "evaluate",
        "--gt",
        directory / "gt.json",
        "--predictions",
        directory / "dt.json",
        "--iou-type",
        "boundary",
    )
    lines = [line.split() for line in done.stdout.splitlines()]
    assert (done.returncode, lines[0], lines[-1]) == (0, ["boundary"], ["AP-unused", "not", "measured"])


def test_wrong_predictions_exit_with_2_and_their_names(files):
    """Problems go to stderr, stdout stays empty, and there is no traceback."""
    directory, _, results, _ = files
    wrong = [{**results[0], "score": float("nan")}, *results[1:], {**results[0], "image_id": 99}]
    (directory / "wrong.json").write_text(json.dumps(wrong))
    done = masksweep(
        "evaluate", "--gt", directory / "gt.json", "--predictions", directory / "wrong.json", "--json"
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "evaluate: 2 problems\n  predictions[0]: " in done.stderr
    assert "score NaN: score must be a finite number" in done.stderr
    assert f"predictions[{len(wrong) - 1}]: image_id 99" in done.stderr
    assert "Traceback" not in done.stderr


def test_metrics_lists_all_names():
    """The table has a line a metric, `--json` the same as data."""
    table = masksweep("metrics")
    assert [line.split()[0] for line in table.stdout.splitlines()[1:]] == list(metric_names())
    rows = json.loads(masksweep("metrics", "--json").stdout)["metrics"]
    assert [row["name"] for row in rows] == list(metric_names())
    assert {row["goal"] for row in rows} == {"maximize", "minimize", None}
