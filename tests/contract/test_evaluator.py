"""The evaluator against pycocotools: the same arrays, to the last bit."""

import hotcoco.mask
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runners.evaluation.coco import (
    COCO_AREAS,
    accumulate,
    bin_areas,
    ground_truth,
    limits_of,
    load_results,
)
from runners.evaluation.metrics import evaluate_detections
from runners.evaluation.neighbours import SLICES
from runners.evaluation.vernier_matching import boundary_accumulated
from sweeps.core.size_bins import STANDARD_BINS
from tests.evaluation_data import (
    CATEGORIES,
    HEIGHT,
    UNUSED,
    WIDTH,
    annotation,
    detections_of,
    peer_evaluation,
    peer_summary,
    random_case,
    results_of,
)


def assert_same(accumulated, arrays) -> None:
    np.testing.assert_array_equal(accumulated.precision, arrays["precision"])
    np.testing.assert_array_equal(accumulated.recall, arrays["recall"])
    np.testing.assert_array_equal(accumulated.scores, arrays["scores"])


def evaluated(document, results, kind, limit, areas=COCO_AREAS):
    truth = ground_truth(document)
    if kind == "boundary":
        return boundary_accumulated(truth, results, max_detections=limit)
    loaded = load_results(truth, results)
    return accumulate(truth, truth.coco, loaded, kind, areas=areas, max_detections=limit)


@st.composite
def cases(draw):
    """Small images with rectangles: crowds, ties, empty images and masks, unused categories, duplicates."""
    size = draw(st.sampled_from([(8, 12), (40, 33)]))
    corner = st.tuples(*(st.integers(0, side - 1) for side in size), *(st.integers(0, side) for side in size))
    images = draw(st.integers(1, 4))
    annotations, detections = [], []
    for image_id in range(1, images + 1):
        masks = []
        for y, x, h, w in draw(st.lists(corner, max_size=4)):
            mask = np.zeros(size, bool)
            mask[y : y + h, x : x + w] = True
            masks.append(mask)
        for mask in masks:
            if mask.any():
                category = draw(st.sampled_from(CATEGORIES))["id"]
                crowd = draw(st.integers(0, 1))
                annotations.append(annotation(len(annotations) + 1, image_id, category, mask, crowd))
        found = draw(st.lists(st.sampled_from(masks), max_size=6)) if masks else []
        scores = draw(st.lists(st.sampled_from([0.25, 0.5, 0.75]), min_size=len(found), max_size=len(found)))
        classes = draw(st.lists(st.integers(0, 2), min_size=len(found), max_size=len(found)))
        detections.append(detections_of(image_id, found, scores, classes))
    document = {
        "images": [{"id": i, "height": size[0], "width": size[1]} for i in range(1, images + 1)],
        "annotations": annotations,
        "categories": [*CATEGORIES, UNUSED],
    }
    return document, detections


@settings(max_examples=120, deadline=None)
@given(cases(), st.sampled_from(["segm", "bbox", "boundary"]), st.sampled_from([1, 2, 100]))
def test_arrays_equal_pycocotools_on_anything(case, kind, limit):
    """Precision, recall and scores are the reference's on whatever can be drawn, limits of detections too."""
    document, detections = case
    results = results_of(detections, kind)
    if not results or not document["annotations"]:
        return  # nothing to compare: the reference cannot be built
    expected = peer_evaluation(document, results, kind, limits_of(limit))
    assert_same(evaluated(document, results, kind, limit), expected)


@pytest.mark.parametrize("kind", ["segm", "bbox", "boundary"])
@pytest.mark.parametrize("seed", range(6))
def test_arrays_equal_pycocotools_on_images_like_real_ones(seed, kind):
    """All sizes of objects, shifted detections, crowds, ties, empty images, and a category without any."""
    document, detections = random_case(seed)
    results = results_of(detections, kind)
    limit = (100, 11, 300)[seed % 3]
    expected = peer_evaluation(document, results, kind, limits_of(limit))
    assert_same(evaluated(document, results, kind, limit), expected)


@pytest.mark.parametrize("kind", ["segm", "boundary"])
def test_arrays_equal_pycocotools_on_polygons_and_uncompressed_masks(kind):
    """Annotations of several polygons, partly outside of the image, and run lengths as lists."""
    document, detections = random_case(4)
    rng = np.random.default_rng(4)
    for number, one in enumerate(document["annotations"]):
        x, y, width, height = one["bbox"]
        if number % 3 == 0:
            angles = np.sort(rng.uniform(0, 2 * np.pi, (2, 7)))
            xs = x + width * (0.5 + 0.6 * np.cos(angles))
            ys = y + height * (0.5 + 0.6 * np.sin(angles))
            one["segmentation"] = np.stack([xs, ys], axis=2).reshape(2, -1).tolist()
            one["iscrowd"] = 0
        elif number % 3 == 1:
            plane = hotcoco.mask.decode(one["segmentation"]).ravel(order="F")
            edges = np.flatnonzero(np.diff(plane, prepend=0, append=2))
            one["segmentation"] = {"size": [HEIGHT, WIDTH], "counts": np.diff(edges, prepend=0).tolist()}
    results = results_of(detections, kind)
    expected = peer_evaluation(document, results, kind, [1, 10, 100])
    assert_same(evaluated(document, results, kind, 100), expected)


@pytest.mark.parametrize("kind", ["segm", "bbox", "boundary"])
def test_arrays_equal_pycocotools_beyond_the_limit_of_detections(kind):
    """With 150 detections of one category in an image the best 100 count, ties in their order."""
    document, _ = random_case(3, images=2)
    rng = np.random.default_rng(0)
    masks = [np.zeros((HEIGHT, WIDTH), bool) for _ in range(150)]
    for mask in masks:
        y, x = rng.integers(0, 90, 2)
        mask[y : y + 20, x : x + 25] = True
    detections = [detections_of(1, masks, np.round(rng.random(150), 1), [0] * 150)]
    results = results_of(detections, kind)
    expected = peer_evaluation(document, results, kind, [1, 10, 100])
    assert_same(evaluated(document, results, kind, 100), expected)


@pytest.mark.parametrize("seed", range(4))
def test_size_bins_equal_pycocotools_with_these_ranges(seed):
    """Bins are areas as COCO's own: the reference, given the same ranges, has the same arrays."""
    document, detections = random_case(seed)
    results = results_of(detections, "segm")
    areas = {**COCO_AREAS, **bin_areas({**STANDARD_BINS, "odd": (10.5, 40.0)})}
    expected = peer_evaluation(document, results, "segm", [1, 10, 100], areas)
    assert_same(evaluated(document, results, "segm", 100, areas), expected)


@pytest.mark.parametrize("seed", range(4))
def test_overlap_slices_equal_pycocotools_that_ignores_the_others(seed):
    """A slice's AP is the reference's with every other instance beyond its range of areas."""
    document, detections = random_case(seed)
    truth = ground_truth(document)
    overlaps = truth.overlaps
    metrics = evaluate_detections(truth, detections)
    slices = {
        "AP": overlaps.crowded | overlaps.occluded,
        "AP_crowded": overlaps.crowded,
        "AP_occluded": overlaps.occluded,
    }
    assert set(slices) == set(SLICES)
    for name, members in slices.items():
        annotations = [
            one if member else {**one, "area": 1e12}
            for one, member in zip(document["annotations"], members.tolist(), strict=True)
        ]
        arrays = peer_evaluation(
            {**document, "annotations": annotations},
            results_of(detections, "segm"),
            "segm",
            [1, 10, 100],
            {"all": (0.0, 1e10)},
        )
        precision = arrays["precision"][..., 0, -1]
        measured = precision[precision > -1]
        expected = float(np.mean(measured) * 100) if measured.size else None
        assert metrics.get(f"overlap/{name}") == expected


@pytest.mark.parametrize("limit", [100, 11, 300])
@pytest.mark.parametrize("seed", range(3))
def test_metrics_equal_those_of_pycocotools(seed, limit):
    """Every AP and AR in percent, under its name; what is not measured is absent."""
    document, detections = random_case(seed)
    expected = {}
    for kind in ("segm", "bbox", "boundary"):
        expected |= peer_summary(document, detections, kind, limit)
    metrics = evaluate_detections(ground_truth(document), detections, max_detections=limit)
    compared = {
        name: value
        for name, value in metrics.items()
        if name.split("/")[0] in ("segm", "bbox", "boundary") and "AP_" not in name
    }
    assert compared == expected
