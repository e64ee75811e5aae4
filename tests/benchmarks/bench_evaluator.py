"""The cost of an evaluation against pycocotools, and of what is measured beside COCO's numbers."""

import contextlib
import gc
import io
import json
import statistics
import time

import hotcoco.mask
import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from runners.evaluation.coco import accumulate, ground_truth, load_results, summary
from runners.evaluation.detections import Detections
from runners.evaluation.metrics import evaluate_detections
from runners.evaluation.results import box_table, check, mask_results
from runners.evaluation.size_metrics import size_metrics
from sweeps.core.size_bins import STANDARD_BINS

HEIGHT, WIDTH, CATEGORIES = 480, 640, 10
PAIRS = 5


def ellipse(cy, cx, ry, rx):
    """A filled ellipse as RLE, its box XYWH and its area."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8, order="F")
    y0, y1 = max(0, int(cy - ry)), min(HEIGHT, int(cy + ry) + 2)
    x0, x1 = max(0, int(cx - rx)), min(WIDTH, int(cx + rx) + 2)
    y, x = np.mgrid[y0:y1, x0:x1]
    mask[y0:y1, x0:x1] = ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 <= 1
    code = hotcoco.mask.encode(mask)
    return code, hotcoco.mask.to_bbox(code).tolist(), int(hotcoco.mask.area(code))


def workload(images):
    """Ground truth of 4 to 11 objects an image of 6 to 180 px, and 1 to 4 detections near each."""
    rng = np.random.default_rng(0)
    annotations, detections = [], []
    for image_id in range(1, images + 1):
        found = []
        for _ in range(rng.integers(4, 12)):
            category = int(rng.integers(CATEGORIES))
            radii = np.exp(rng.uniform(np.log(3), np.log(90), 2))
            centre = rng.uniform(0, (HEIGHT, WIDTH))
            code, box, area = ellipse(*centre, *radii)
            if not area:
                continue
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": category + 1,
                    "iscrowd": 0,
                    "area": area,
                    "bbox": box,
                    "segmentation": {"size": code["size"], "counts": code["counts"].decode()},
                }
            )
            for _ in range(rng.integers(1, 5)):
                moved = centre + radii * rng.normal(0, 0.15, 2)
                code, box, area = ellipse(*moved, *(radii * np.exp(rng.normal(0, 0.15, 2))))
                if area:
                    found.append((float(rng.random()), category, box, code))
        found.sort(key=lambda one: -one[0])
        boxes = np.array([box for _, _, box, _ in found], np.float32)
        boxes[:, 2:] += boxes[:, :2]
        detections.append(
            Detections(
                image_id,
                boxes,
                np.array([score for score, *_ in found], np.float32),
                np.array([category for _, category, *_ in found]),
                [code for *_, code in found],
            )
        )
    document = {
        "images": [{"id": i, "height": HEIGHT, "width": WIDTH} for i in range(1, images + 1)],
        "annotations": annotations,
        "categories": [{"id": k + 1, "name": f"part {k}"} for k in range(CATEGORIES)],
    }
    return document, detections


def cpu_seconds(work):
    """CPU seconds of a call, and what it gives."""
    gc.collect()
    began = time.process_time()
    result = work()
    return time.process_time() - began, result


def ours(truth, detections):
    """Everything from detections to COCO's numbers: checks, conversion, matching, accumulation, summary."""
    check(truth, detections)
    numbers = {}
    for kind, results in (("segm", mask_results), ("bbox", box_table)):
        loaded = load_results(truth, results(truth, detections))
        numbers[kind] = accumulate(truth, truth.coco, loaded, kind)
        summary(numbers[kind], truth.names)
    return numbers


def theirs(truth, results):
    """`loadRes`, `evaluate`, `accumulate` and `summarize` of pycocotools."""
    numbers = {}
    with contextlib.redirect_stdout(io.StringIO()):
        for kind in ("segm", "bbox"):
            evaluation = COCOeval(truth, truth.loadRes(results[kind]), kind)
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
            numbers[kind] = evaluation.eval
    return numbers


def test_an_evaluation_costs_a_fifteenth_of_pycocotools():
    """Masks and boxes of 500 images in CPU time of the process; both have indexed the annotations before.

    From detections in memory to COCO's twelve numbers a kind, AP by category included here. Ours checks every
    mask's run lengths besides.
    """
    document, detections = workload(500)
    truth = ground_truth(document)
    _ = truth.coco
    with contextlib.redirect_stdout(io.StringIO()):
        peer = COCO()
        peer.dataset = json.loads(json.dumps(document))
        peer.createIndex()
    mine, other = [], []
    for _ in range(PAIRS):
        results = {"segm": mask_results(truth, detections), "bbox": box_table(truth, detections)}
        spent, numbers = cpu_seconds(lambda: ours(truth, detections))
        mine.append(spent)
        spent, expected = cpu_seconds(lambda results=results: theirs(peer, results))
        other.append(spent)
        for kind, arrays in expected.items():
            np.testing.assert_array_equal(numbers[kind].precision, arrays["precision"])
            np.testing.assert_array_equal(numbers[kind].recall, arrays["recall"])
            np.testing.assert_array_equal(numbers[kind].scores, arrays["scores"])
    ratio = statistics.median(a / b for a, b in zip(mine, other, strict=True))
    print(
        f"\nCOCO evaluation of {sum(len(one.scores) for one in detections)} masks and boxes in 500 images:"
        f" ratio {ratio:.4f} (at most {1 / 15:.4f}), arrays equal; masksweep"
        f" {statistics.median(mine):.3g} s CPU, pycocotools {statistics.median(other):.3g} s, {PAIRS} pairs"
    )
    assert ratio <= 1 / 15


def test_intervals_cost_less_than_the_evaluation_they_belong_to():
    """Bins of size with their bootstrap at 60 images, against everything that is measured in one call."""
    document, detections = workload(60)
    truth = ground_truth(document)
    evaluate_detections(truth, detections)
    check(truth, detections)
    results = mask_results(truth, detections)
    found = accumulate(
        truth,
        truth.coco,
        load_results(truth, results),
        "segm",
        areas={
            "all": (0.0, 1e10),
            **{f"bin:{name}": (low**2, high**2) for name, (low, high) in STANDARD_BINS.items()},
        },
    )
    parts, wholes = [], []
    for _ in range(PAIRS):
        spent, _metrics = cpu_seconds(
            lambda: size_metrics(truth, results, found, STANDARD_BINS, max_detections=100)
        )
        parts.append(spent)
        spent, _metrics = cpu_seconds(lambda: evaluate_detections(truth, detections))
        wholes.append(spent)
    ratio = statistics.median(a / b for a, b in zip(parts, wholes, strict=True))
    print(
        f"\nAP by size with 200 replicates at 60 images: ratio {ratio:.2f} (at most 0.8) of all metrics;"
        f" {1000 * statistics.median(parts):.3g} of {1000 * statistics.median(wholes):.3g} ms CPU,"
        f" {PAIRS} pairs"
    )
    assert ratio <= 0.8
