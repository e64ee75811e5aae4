"""AP of masks in bins of object size, with how much ground truth there is and how sure the number is."""

import numpy as np

from runners.evaluation.bootstrap import category_matches, draws, interval, replicate_aps
from runners.evaluation.coco import Accumulated, bin_areas
from runners.evaluation.results import Results
from runners.evaluation.truth import GroundTruth
from runners.evaluation.vernier_matching import match
from sweeps.core.size_bins import SizeBins


def size_metrics(
    truth: GroundTruth,
    results: Results,
    accumulated: Accumulated,
    size_bins: SizeBins,
    *,
    max_detections: int,
) -> dict[str, float]:
    """For each bin `segm/AP_<bin>`, `segm/AP_<bin>_low`, `segm/AP_<bin>_high` and `count/gt_<bin>`.

    A bin without ground truth has its count, 0, and nothing else.

    Args:
        truth: The annotations.
        results: Checked COCO results with masks.
        accumulated: Their evaluation, with the areas of `bin_areas` among its areas.
        size_bins: Name -> (low, high) in px.
        max_detections: As in `accumulated`.
    """
    counts = count_in_bins(truth, size_bins)
    metrics = {f"count/gt_{name}": float(count) for name, count in counts.items()}
    filled = {name: bounds for name, bounds in size_bins.items() if counts[name]}
    if not filled:
        return metrics
    areas = bin_areas(filled)
    grid = match(truth, results, "segm", areas=areas, max_detections=max_detections, keep_matches=True)
    cells = grid.eval_imgs()
    images, places = len(truth.sizes), {image_id: index for index, image_id in enumerate(truth.sizes)}
    weights = draws(images)
    for number, (name, area) in enumerate(zip(filled, areas, strict=True)):
        estimate = accumulated.average_precision(area)
        if estimate is None:
            continue
        # cells lie by category, then area, then image
        begins = [(k * len(areas) + number) * images for k in range(len(truth.names))]
        categories = [category_matches(cells[begin : begin + images], places) for begin in begins]
        replicates = replicate_aps([one for one in categories if one is not None], weights)
        low, high = interval(estimate, replicates)
        metrics |= {
            f"segm/AP_{name}": estimate,
            f"segm/AP_{name}_low": low,
            f"segm/AP_{name}_high": high,
        }
    return metrics


def count_in_bins(truth: GroundTruth, size_bins: SizeBins) -> dict[str, int]:
    """Instances in each bin; crowd regions are none, and one on a border is in both bins."""
    return {
        name: int(np.count_nonzero((truth.areas >= area[0]) & (truth.areas <= area[1])))
        for name, area in zip(size_bins, bin_areas(size_bins).values(), strict=True)
    }
